"""Settings: read once, complained about by name."""

import pytest
from pydantic import ValidationError

from asr_api.settings import InvalidSettings, Settings


def test_defaults_need_nothing() -> None:
    """An empty environment serves large-v3 wherever there is a device for it."""
    settings = Settings.load({})
    assert (settings.model, settings.device, settings.compute_type) == ("large-v3", "auto", "auto")


def test_a_variable_sets_its_field() -> None:
    """`ASR_<NAME>` is the field `<name>`; other variables are none of ours."""
    settings = Settings.load({"ASR_PORT": "9000", "ASR_DEVICE_INDEX": "0,1", "ASR_OFFLINE": "true", "PATH": "/bin"})
    assert (settings.port, settings.device_index, settings.offline) == (9000, [0, 1], True)


def test_a_flag_goes_before_the_variable() -> None:
    """What is typed wins over what the environment says."""
    assert Settings.load({"ASR_MODEL": "tiny"}, model="base").model == "base"


def test_an_unknown_variable_is_an_error_that_names_it() -> None:
    """A misspelt setting never passes in silence."""
    with pytest.raises(InvalidSettings, match=r"ASR_MAX_BACTH_SIZE is not a setting; did you mean ASR_MAX_BATCH_SIZE"):
        Settings.load({"ASR_MAX_BACTH_SIZE": "4"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "high"), ("PORT", "70000"), ("BEAM_SIZE", "0"), ("DEVICE", "tpu"), ("VAD_THRESHOLD", "nan")],
)
def test_a_wrong_value_is_an_error_that_names_it(name: str, value: str) -> None:
    """The message has the variable, the flag and the value."""
    with pytest.raises(InvalidSettings, match=f"ASR_{name}") as error:
        Settings.load({f"ASR_{name}": value})
    assert value in str(error.value)
    assert "--" + name.lower().replace("_", "-") in str(error.value)


def test_nothing_but_the_given_mapping_is_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Building settings by hand never looks at the process's environment, nor lets them be changed."""
    settings = Settings(port=1)
    assert settings.model == "large-v3"
    with pytest.raises(ValidationError):
        settings.port = 2  # type: ignore[misc]
