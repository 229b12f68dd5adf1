"""Promises that public rules name, ready for `presets = [...]` of an SLA class. What a rule leaves open says so.

A regulator's test prescribes servers, sample plans and devices too: these are its figures, not its certificate.
"""

from collections.abc import Mapping

from fibrewatch.results.voice import CLASSES, ServiceClass
from fibrewatch_collector.sla.objectives import Hours, Objective, Preset, Weekday

EVERY_DAY: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MBIT_S = 1e6 / 8

_CAF = Preset(
    source="FCC, Connect America Fund: DA 18-710 (2018) V.A and FCC 19-104 (2019) B, D, H: 80 % of tests at 80 % of "
    "the speed, 95 % of round trips at or below 100 ms, 18:00-24:00 local, every day",
    busy=Hours(begin="18:00", end="24:00", days=EVERY_DAY),
    objectives=(
        Objective(
            id="caf-download", kind="compliance", direction="download", asked=0.80, of_contract=0.80, hours="busy"
        ),
        Objective(id="caf-upload", kind="compliance", direction="upload", asked=0.80, of_contract=0.80, hours="busy"),
        Objective(id="caf-latency", kind="percentile", metric="ping.rtt", quantile=0.95, limit_s=0.100, hours="busy"),
    ),
)
_OFCOM = Preset(
    source="Ofcom, Better Broadband Speeds Information (1 March 2018), Business Code: peak time 12:00-14:00, Monday to "
    "Friday. It sets hours, not shares: each contract names its own range and minimum",
    busy=Hours(begin="12:00", end="14:00"),
    objectives=(),
)
_BNETZA = Preset(
    source="Bundesnetzagentur, Allgemeinverfügung of 8 Dec 2021 (§ 57 TKG): the normally available speed in 90 % of "
    "measurements; the contracted rate stands for it. Not covered: 90 % of the maximum at least once on 2 of 3 days, "
    "and no value below the minimum on 2 of 3 days",
    objectives=(
        Objective(id="bnetza-download", kind="compliance", direction="download", asked=0.90, of_contract=1.0),
        Objective(id="bnetza-upload", kind="compliance", direction="upload", asked=0.90, of_contract=1.0),
    ),
)
_LABEL = (
    'Label "quartier numérique", as named in public: 1 Gb/s fixed, 150 Mb/s mobile, Wi-Fi everywhere; the shares of '
)
_LABEL += "tests and minutes are ours"
_FIXED = Preset(
    source=_LABEL,
    objectives=(
        Objective(id="label-fixed", kind="compliance", direction="download", asked=0.95, rate=1000 * _MBIT_S),
        Objective(id="label-wifi", kind="coverage", asked=0.95),
    ),
)
_MOBILE = Preset(
    source=_LABEL,
    objectives=(Objective(id="label-mobile", kind="compliance", direction="download", asked=0.95, rate=150 * _MBIT_S),),
)


def _y1541(service_class: ServiceClass) -> Preset:
    """A class's upper bounds, each for one burst of 10 s; Y.1541 leaves open how many of them must keep it."""
    bounds, name = CLASSES[service_class], f"y1541-{service_class}"
    return Preset(
        source=f"ITU-T Y.1541 (12/2011) class {service_class}: IPTD, IPDV, IPLR; the share of bursts, 95 %, is ours",
        objectives=(
            Objective(
                id=f"{name}-delay", kind="percentile", metric="voice.delay", quantile=0.95, limit_s=bounds.delay_s
            ),
            Objective(
                id=f"{name}-variation",
                kind="percentile",
                metric="voice.variation",
                quantile=0.95,
                limit_s=bounds.variation_s,
            ),
            Objective(id=f"{name}-loss", kind="loss", metric="stamp", asked=bounds.loss_ratio),
        ),
    )


PRESETS: Mapping[str, Preset] = {
    "fcc-caf": _CAF,
    "ofcom-business": _OFCOM,
    "bnetza-2021": _BNETZA,
    "quartier-numerique": _FIXED,
    "quartier-numerique-mobile": _MOBILE,
    **{f"y1541-{each}": _y1541(each) for each in CLASSES},
}
