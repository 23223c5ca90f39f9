"""The whole configuration: a TOML file under the environment's `MEDIAPROXY_SECTION__KEY`."""

from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mediaproxy.config.agents import AgentSection
from mediaproxy.config.sections import (
    ApiSection,
    CaptureSection,
    DatabaseSection,
    MediaSection,
    RecordingSection,
    RouteSection,
    SipSection,
    StorageSection,
)
from mediaproxy.config.trunks import TrunkSection

ENV_PREFIX = "MEDIAPROXY_"
ENV_DELIMITER = "__"


class Config(BaseSettings):
    """Paths are absolute once `load` has made it."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    sip: SipSection = SipSection()
    capture: CaptureSection = CaptureSection()
    media: MediaSection = MediaSection()
    api: ApiSection = ApiSection()
    storage: StorageSection = StorageSection()
    database: DatabaseSection = DatabaseSection()
    recording: RecordingSection = RecordingSection()
    trunks: tuple[TrunkSection, ...] = ()
    agents: tuple[AgentSection, ...] = ()
    routes: tuple[RouteSection, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose tables are handed in; nothing else is read."""
        return env_settings, init_settings


def json_schema() -> dict[str, Any]:
    """For editors and validators."""
    return Config.model_json_schema(by_alias=True)
