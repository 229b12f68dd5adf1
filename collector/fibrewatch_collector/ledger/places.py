"""Places that people name, found in the inventory. Pure."""

from fibrewatch.config import nearest
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.ledger import LedgerError


def find_site(inventory: Inventory, territory: str, site: str) -> Site:
    """A site of the inventory.

    Raises:
        LedgerError: There is none.
    """
    found = inventory.sites.get((territory, site))
    if found is None:
        names = [each.id for each in inventory.sites.values() if each.territory == territory]
        raise LedgerError("unknown", f'site: there is no "{territory[:60]}/{site[:60]}"{nearest(site, names)}')
    return found
