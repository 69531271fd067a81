"""The actions a rule may name under `then`. A new one is a class in a file here and a line in `ACTIONS`."""

from __future__ import annotations

from collections.abc import Mapping

from leadflow.rules.actions.base import Action
from leadflow.rules.actions.fields import SetFieldAction
from leadflow.rules.actions.messages import NotifyAction, WebhookAction
from leadflow.rules.actions.owners import AssignOwnerAction
from leadflow.rules.actions.statuses import SetCategoryAction, SetLeadStatusAction
from leadflow.rules.actions.steering import StopHereAction, WaitAction
from leadflow.rules.actions.tags import AddTagAction, RemoveTagAction
from leadflow.rules.actions.tasks import CreateTaskAction

ACTIONS: tuple[Action, ...] = (
    SetCategoryAction(),
    SetLeadStatusAction(),
    SetFieldAction(),
    AddTagAction(),
    RemoveTagAction(),
    CreateTaskAction(),
    AssignOwnerAction(),
    NotifyAction(),
    WebhookAction(),
    WaitAction(),
    StopHereAction(),
)

ACTIONS_BY_NAME: Mapping[str, Action] = {action.name: action for action in ACTIONS}
