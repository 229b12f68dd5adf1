"""`python -m benchmarks.rules`: how long Prometheus takes to evaluate all rules, by the number of sites.

The page is the collector's own, of made-up sites with two objectives each; Prometheus scrapes it each second for as many samples
as ten minutes at 5 s have, the time that alerts hold what was said last. Medians of its own count of each group's time.
"""

import http.server
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from benchmarks.support import options, save, table
from fibrewatch.measurement import Measurement, Target
from fibrewatch.results import PROBES, ping
from fibrewatch.wire import AgentId
from fibrewatch_collector.families import CONTENT_TYPE
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator import generate
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.store import Bin
from tests.support.prometheus import Prometheus
