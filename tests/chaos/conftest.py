"""Scenes for the tests that let things collide."""

from tests.integration.conftest import _quick_logs, reused_database, scene

__all__ = ["_quick_logs", "reused_database", "scene"]
