"""What is asked of a reload over HTTP, what is answered, and how a person reads it."""

from __future__ import annotations

import msgspec

from fusion_daemon.reload_plan import Action


class ReloadForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/reload."""

    dry_run: bool = False


class StepAnswer(msgspec.Struct, frozen=True):
    action: Action
    target: str
    because: tuple[str, ...]
    """The keys that differ, or `secret …`."""


class ReloadAnswer(msgspec.Struct, frozen=True):
    dry_run: bool
    steps: tuple[StepAnswer, ...]
    """In the order in which they are taken."""
    refused: tuple[str, ...]
    """Keys that only a restart changes; always empty after a reload that was done."""
    warnings: tuple[str, ...]
    configuration: str
    """Hash of what decides in the new configuration."""

    @property
    def text(self) -> str:
        lines = [f"{each.action} {each.target}: {', '.join(each.because)}" for each in self.steps]
        lines += [f"refused {key}: only a restart of the daemon changes it" for key in self.refused]
        lines += [f"warning: {each}" for each in self.warnings]
        return "\n".join([*lines, self._end])

    @property
    def _end(self) -> str:
        if self.refused:
            return "A reload would be refused; nothing was changed."
        if not self.steps:
            return "There is nothing to do."
        if self.dry_run:
            return "Nothing was changed yet: this was a dry run."
        return "Done: 1 step." if len(self.steps) == 1 else f"Done: {len(self.steps)} steps."
