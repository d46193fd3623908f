"""A frozen config value."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen config value; a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
