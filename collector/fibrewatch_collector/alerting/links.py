"""Where an alert leads: a dashboard and a runbook."""

from urllib.parse import quote

from msgspec import Struct

from fibrewatch_collector.alerting.model import Alert


class Links(Struct, frozen=True, kw_only=True):
    """The roots of Grafana and of the runbooks, without a slash at the end."""

    grafana: str = "http://localhost:3000"
    runbooks: str = "docs/runbooks"

    def dashboard(self, alert: Alert) -> str:
        """With the alert's own labels as variables: `{label|urlquery}` stands for each."""
        given = ((name, value.replace("}", "|urlquery}")) for name, value in alert.variables.items())
        variables = "&".join(f"var-{quote(name)}={value}" for name, value in given)
        return f"{self.grafana}/d/{alert.dashboard}" + (f"?{variables}" if variables else "")

    def runbook(self, alert: Alert) -> str:
        """The page of an alert."""
        return f"{self.runbooks}/{alert.runbook_file}"
