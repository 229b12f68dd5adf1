"""What Grafana's file provisioning takes, as types that refuse everything else.

Taken from its public sources (pkg/services/provisioning/{datasources,dashboards,alerting}, v10 to v12) and its
documentation: the reader itself ignores a key that it doesn't know without a word.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Text = Annotated[str, Meta(min_length=1)]
Uid = Annotated[str, Meta(pattern=r"\A[a-zA-Z0-9_-]{1,40}\Z")]
Duration = Annotated[str, Meta(pattern=r"\A(\d+[smhdw])+\Z")]
Interval = Annotated[str, Meta(pattern=r"\A((\d+0s)|(\d+[mhd]))\Z")]
"""Of a rule group: a multiple of 10 s."""
Clock = Annotated[str, Meta(pattern=r"\A(([01]\d|2[0-3]):[0-5]\d|24:00)\Z")]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a file."""


class DataSource(Strict, frozen=True, kw_only=True):
    """Grafana makes a uid up where there is none; dashboards go by it, so it is required here."""

    name: Text
    type: Literal["prometheus"]
    uid: Uid
    url: Text
    access: Literal["proxy"]
    org_id: int = field(default=1, name="orgId")
    is_default: bool = field(default=False, name="isDefault")
    editable: bool = False
    version: int = 1
    user: str | None = None
    basic_auth: bool = field(default=False, name="basicAuth")
    basic_auth_user: str | None = field(default=None, name="basicAuthUser")
    json_data: "PrometheusData" = field(name="jsonData")
    secure_json_data: dict[str, str] = field(default_factory=dict, name="secureJsonData")


class PrometheusData(Strict, frozen=True, kw_only=True):
    """jsonData of a Prometheus data source."""

    http_method: Literal["GET", "POST"] = field(name="httpMethod")
    time_interval: Duration = field(name="timeInterval")
    prometheus_type: Literal["Prometheus", "Mimir", "Cortex", "Thanos"] = field(name="prometheusType")
    prometheus_version: str | None = field(default=None, name="prometheusVersion")
    manage_alerts: bool | None = field(default=None, name="manageAlerts")
    query_timeout: Duration | None = field(default=None, name="queryTimeout")


class DeleteDataSource(Strict, frozen=True, kw_only=True):
    name: Text
    org_id: int = field(default=1, name="orgId")


class DataSourcesFile(Strict, frozen=True, kw_only=True):
    """provisioning/datasources/*.yaml."""

    api_version: Literal[1] = field(name="apiVersion")
    datasources: Annotated[tuple[DataSource, ...], Meta(min_length=1)]
    prune: bool = False
    delete: tuple[DeleteDataSource, ...] = field(default=(), name="deleteDatasources")


class ProviderOptions(Strict, frozen=True, kw_only=True):
    path: Text
    folders: bool = field(default=False, name="foldersFromFilesStructure")


class Provider(Strict, frozen=True, kw_only=True):
    name: Text
    type: Literal["file"]
    options: ProviderOptions
    org_id: int = field(default=1, name="orgId")
    folder: str = ""
    folder_uid: Uid | Literal[""] = field(default="", name="folderUid")
    editable: bool | None = None
    disable_deletion: bool = field(default=False, name="disableDeletion")
    update_s: Annotated[int, Meta(gt=0)] = field(default=10, name="updateIntervalSeconds")
    allow_ui_updates: bool = field(default=False, name="allowUiUpdates")


class DashboardsFile(Strict, frozen=True, kw_only=True):
    """provisioning/dashboards/*.yaml."""

    api_version: Literal[1] = field(name="apiVersion")
    providers: Annotated[tuple[Provider, ...], Meta(min_length=1)]


class WebhookSettings(Strict, frozen=True, kw_only=True):
    url: Text
    http_method: Literal["POST", "PUT"] = field(default="POST", name="httpMethod")
    username: str | None = None
    password: str | None = None
    scheme: str | None = field(default=None, name="authorization_scheme")
    credentials: str | None = field(default=None, name="authorization_credentials")
    max_alerts: str | int | None = field(default=None, name="maxAlerts")
    title: str | None = None
    message: str | None = None


class Receiver(Strict, frozen=True, kw_only=True):
    uid: Uid
    type: Literal["webhook"]
    settings: WebhookSettings
    disable_resolve: bool = field(default=False, name="disableResolveMessage")


class ContactPoint(Strict, frozen=True, kw_only=True):
    name: Text
    receivers: Annotated[tuple[Receiver, ...], Meta(min_length=1)]
    org_id: int = field(default=1, name="orgId")


class TimesOfDay(Strict, frozen=True, kw_only=True):
    start: Clock = field(name="start_time")
    end: Clock = field(name="end_time")


class TimeInterval(Strict, frozen=True, kw_only=True):
    times: tuple[TimesOfDay, ...] = ()
    weekdays: tuple[Text, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    location: Text | None = None


class MuteTiming(Strict, frozen=True, kw_only=True):
    name: Text
    intervals: Annotated[tuple[TimeInterval, ...], Meta(min_length=1)] = field(name="time_intervals")
    org_id: int = field(default=1, name="orgId")


class Route(Strict, frozen=True, kw_only=True):
    """A notification policy under the root."""

    receiver: Text
    object_matchers: Annotated[tuple[tuple[Text, Literal["=", "!=", "=~", "!~"], str], ...], Meta(min_length=1)]
    group_by: tuple[Text, ...] = ()
    mute_time_intervals: tuple[Text, ...] = ()
    active_time_intervals: tuple[Text, ...] = ()
    go_on: bool = field(default=False, name="continue")
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    routes: tuple["Route", ...] = ()


class RootRoute(Strict, frozen=True, kw_only=True):
    """The root has no matchers and no mute timings: Grafana refuses them there."""

    receiver: Text
    group_by: Annotated[tuple[Text, ...], Meta(min_length=1)]
    group_wait: Duration
    group_interval: Duration
    repeat_interval: Duration
    org_id: int = field(default=1, name="orgId")
    routes: tuple[Route, ...] = ()


class TimeRange(Strict, frozen=True, kw_only=True):
    begin: int = field(name="from")
    end: int = field(name="to")


class AlertQuery(Strict, frozen=True, kw_only=True):
    ref_id: Text = field(name="refId")
    datasource_uid: Text = field(name="datasourceUid")
    model: dict[str, Any]
    time_range: TimeRange | None = field(default=None, name="relativeTimeRange")
    query_type: str = field(default="", name="queryType")


class AlertRule(Strict, frozen=True, kw_only=True):
    uid: Uid
    title: Annotated[str, Meta(min_length=1, max_length=190)]
    condition: Text
    data: Annotated[tuple[AlertQuery, ...], Meta(min_length=1)]
    no_data: Literal["NoData", "Alerting", "OK", "KeepLast"] = field(name="noDataState")
    on_error: Literal["Error", "Alerting", "OK", "KeepLast"] = field(name="execErrState")
    pending: Duration = field(name="for")
    keep_firing: Duration | None = field(default=None, name="keepFiringFor")
    dashboard_uid: Uid | None = field(default=None, name="dashboardUid")
    panel_id: int | None = field(default=None, name="panelId")
    annotations: dict[str, str] = {}  # msgspec copies a mutable default
    labels: dict[str, str] = {}
    paused: bool = field(default=False, name="isPaused")


class RuleGroup(Strict, frozen=True, kw_only=True):
    name: Text
    folder: Text
    interval: Interval
    rules: Annotated[tuple[AlertRule, ...], Meta(min_length=1)]
    org_id: int = field(default=1, name="orgId")


class AlertingFile(Strict, frozen=True, kw_only=True):
    """provisioning/alerting/*.yaml."""

    api_version: Literal[1] = field(name="apiVersion")
    groups: tuple[RuleGroup, ...] = ()
    contact_points: tuple[ContactPoint, ...] = field(default=(), name="contactPoints")
    mute_times: tuple[MuteTiming, ...] = field(default=(), name="muteTimes")
    policies: tuple[RootRoute, ...] = ()
