"""The options of `fibrewatch evidence`, `verify` and `evidence-key`."""

import argparse
from pathlib import Path

from fibrewatch.errors import ConfigError
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator import door


def add_evidence(parser: argparse.ArgumentParser) -> None:
    """One site, one period, from a collector or from its store."""
    parser.add_argument("--site", required=True, metavar="TERRITORY/SITE", help="the territory may be left out")
    period = parser.add_mutually_exclusive_group(required=True)
    period.add_argument("--month", metavar="YYYY-MM", help="a month, by the site's own time")
    period.add_argument("--from", dest="first", metavar="YYYY-MM-DD", help="the first day")
    parser.add_argument("--to", dest="last", metavar="YYYY-MM-DD", help="the last day, which is in it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="instead of evidence-SITE-PERIOD.tar here")
    door.add_options(parser)
    parser.add_argument("--store", type=Path, metavar="FILE", help="read this store instead, with --sites and --key")
    parser.add_argument("--sites", type=Path, metavar="FILE", help="the sites.toml of --store")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the private key that signs, with --store")
    parser.set_defaults(run=_evidence)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """A pack, and the key that is trusted."""
    parser.add_argument("pack", type=Path)
    parser.add_argument("--key", metavar="KEY", help="the public key: its file, or its fingerprint SHA256:…")
    parser.set_defaults(run=_verify)


def add_key(parser: argparse.ArgumentParser) -> None:
    """Where the key is to be, or is."""
    parser.add_argument("file", type=Path)
    parser.add_argument("--show", action="store_true", help="only print the public key of one that is there")
    parser.set_defaults(run=_key)


def _evidence(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import evidence

    given = {"site": arguments.site, "month": arguments.month, "from": arguments.first, "to": arguments.last}
    words = {name: word for name, word in given.items() if word is not None}
    local = (arguments.store, arguments.sites, arguments.key)
    if all(each is None for each in local):
        return evidence.from_api(door.door(arguments), words, arguments.out)
    if None in local:
        raise ConfigError("", "", "--store, --sites and --key go together: a store, its inventory, the key that signs")
    inventory = load_inventory(arguments.sites)
    return evidence.from_store(arguments.store, inventory, arguments.key, words, arguments.out)


def _verify(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import evidence

    return evidence.verify(arguments.pack, arguments.key)


def _key(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import evidence

    return evidence.make_key(arguments.file, show=arguments.show)
