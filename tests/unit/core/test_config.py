"""Config errors: each names file, place, value and the nearest valid word."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Rate, Size, build, load, quantity
from fibrewatch.errors import ConfigError


class Uplink(Struct, frozen=True, kw_only=True):
    """An uplink."""

    id: str
    kind: Literal["fibre", "mobile"] = "fibre"
    download: Rate | None = None


class Site(Struct, frozen=True, kw_only=True):
    """A config with everything in it."""

    name: Annotated[str, Meta(pattern=r"\A[a-z]+\Z")]
    every_s: Annotated[Duration, Meta(ge=1)] = field(default=60.0, name="every")
    max_size: Size = 1024
    folder: Path = Path("/var/lib")
    uplink: tuple[Uplink, ...] = ()
    targets: dict[str, Uplink] = {}


def test_quantities_come_out_in_base_units() -> None:
    site = build(
        {"name": "cargo", "every": "5 min", "max_size": "256 MiB", "uplink": [{"id": "a", "download": "1 Gbit/s"}]},
        Site,
        "sites.toml",
    )
    assert (site.every_s, site.max_size, site.uplink[0].download) == (300.0, 256 * 2**20, 125e6)
    assert quantity("1.5 ms", "duration") == 0.0015


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('name = "cargo"\nevry = "5 s"', "evry: no such key (did you mean every?)"),
        ('name = "cargo"\nzzz = 1', "zzz: no such key"),
        ('every = "5 s"', "name is missing"),
        ('name = "cargo"\nevery = 5', 'every: 5 has no unit: write it as "60 s"'),
        ('name = "cargo"\nevery = "5 sec"', "every: '5 sec': no such unit; duration takes ms, s, min, h, d"),
        ('name = "cargo"\nevery = "0.5 s"', "every: 0.5: expected `float` >= 1.0"),
        ('name = "cargo"\nevery = "soon"', "every: 'soon' is not a duration such as \"60 s\""),
        ('name = "Cargo"', "name: 'Cargo': expected `str` matching regex '\\\\A[a-z]+\\\\Z'"),
        (
            'name = "cargo"\nuplink = [{id = "a", kind = "fiber"}]',
            "uplink \"a\".kind: 'fiber': invalid enum value 'fiber' (did you mean fibre?); one of fibre, mobile",
        ),
        ('name = "cargo"\nuplink = [{kind = "fibre"}]', "uplink[0]: id is missing"),
        ('name = "cargo"\n[targets.gw]\nid = 3', "targets.gw.id: 3: expected `str`, got `int`"),
        ('name = "cargo"\ntargets = 3', "targets: 3: expected `object`, got `int`"),
        ('name = "cargo"\nuplink = [3]', "uplink[0]: 3 is not a table"),
        ('name = "cargo"\nfolder = 3', "folder: 3: expected `Path`, got `int`"),
        ('name = "cargo"\nfolder = "/a\\u0000b"', "folder: '/a\\x00b' has a NUL character"),
        ('name = "cargo"\n[targets.gw]\nid = "\\u0000"', "targets.gw.id: '\\x00' has a NUL character"),
        (
            f'name = "cargo"\nmax_size = "{"9" * 400} GB"',
            f"max_size: '{'9' * 400} GB' is not a size such as \"256 MiB\"",
        ),
        ('name = "cargo"\nevery = "\u0663 s"', "every: '\u0663 s' is not a duration such as \"60 s\""),
        (f"name = {'[' * 3000}", "not TOML: nested too deeply"),
        ("name = 1979-05-27", "name: datetime.date(1979, 5, 27): expected `str`, got `date`"),
    ],
)
def test_a_bad_file_is_answered_with_its_place(tmp_path: Path, toml: str, message: str) -> None:
    file = tmp_path / "sites.toml"
    file.write_text(toml, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, Site)
    assert str(caught.value) == f"{file}: {message}"


def test_what_is_not_toml_is_said_with_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text('name = "cargo"\nevery = \n')
    with pytest.raises(ConfigError, match=r"not TOML: Invalid value \(at line 2, column 9\)"):
        load(file, Site)
    file.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="not TOML"):
        load(file, Site)


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.toml", Site)
    assert str(caught.value) == f"{tmp_path / 'none.toml'}: No such file or directory"


def test_a_number_that_python_does_not_read_is_said_to_be_no_toml(tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text(f"name = {'1' * 5000}")
    with pytest.raises(ConfigError, match=r"sites\.toml: not TOML: .*5000 digits"):
        load(file, Site)
