"""What a user can call over the WebSocket. `conn.user_id` comes from the connection's token, never from the message."""

import logging
from typing import Annotated, Literal

from django_cfg.apps.centrifugo.decorators import websocket_rpc
from django_cfg.apps.centrifugo.publish import apublish_to_user
from django_cfg.errors import PublishError
from django_cfg.rpc.connection import Connection
from pydantic import BaseModel, Field, StringConstraints

from apps.todos.models import Todo

logger = logging.getLogger(__name__)

MAX_LISTED = 500

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class TodoItem(BaseModel):
    id: int
    title: str
    completed: bool
    created_at: str


class CreateTodoParams(BaseModel):
    title: Title = Field(description="Todo title")


class UpdateTodoParams(BaseModel):
    id: int = Field(description="Todo ID")
    title: Title | None = Field(None, description="New title")
    completed: bool | None = Field(None, description="Completion status")


class DeleteTodoParams(BaseModel):
    id: int = Field(description="Todo ID to delete")


class ListTodosParams(BaseModel):
    completed: bool | None = Field(None, description="Filter by completion")
    limit: int | None = Field(10, description="Max results", ge=1, le=MAX_LISTED)


class TodoResult(BaseModel):
    todo: TodoItem


class TodoListResult(BaseModel):
    todos: list[TodoItem]
    total: int = Field(description="How many there are, beyond the limit too")


class SuccessResult(BaseModel):
    success: bool
    message: str


class TodosChanged(BaseModel):
    """The data of the event `todos.changed`, pushed to every window of the user."""

    change: Literal["created", "updated", "deleted"]
    id: int


@websocket_rpc("todos.create")
async def create_todo(conn: Connection, params: CreateTodoParams) -> TodoResult:
    """Create a new todo item."""
    todo = await Todo.objects.acreate(user_id=conn.user_id, title=params.title, completed=False)
    await announce(conn, TodosChanged(change="created", id=todo.id))
    return TodoResult(todo=to_item(todo))


@websocket_rpc("todos.update", idempotent=True)
async def update_todo(conn: Connection, params: UpdateTodoParams) -> TodoResult:
    """Update an existing todo item."""
    mine = Todo.objects.filter(id=params.id, user_id=conn.user_id)
    # Only what was sent is written: another window may be changing the other field at this moment.
    changes = params.model_dump(include={"title", "completed"}, exclude_none=True)
    if changes:
        await mine.aupdate(**changes)
    todo = await mine.afirst()
    if todo is None:
        raise ValueError(f"Todo {params.id} not found")
    await announce(conn, TodosChanged(change="updated", id=todo.id))
    return TodoResult(todo=to_item(todo))


@websocket_rpc("todos.delete", idempotent=True)
async def delete_todo(conn: Connection, params: DeleteTodoParams) -> SuccessResult:
    """Delete a todo item. Deleting one that is already gone is no error."""
    deleted, _ = await Todo.objects.filter(id=params.id, user_id=conn.user_id).adelete()
    if deleted:
        await announce(conn, TodosChanged(change="deleted", id=params.id))
    return SuccessResult(success=True, message=f"Todo {params.id} deleted")


@websocket_rpc("todos.list", idempotent=True)
async def list_todos(conn: Connection, params: ListTodosParams) -> TodoListResult:
    """List todos with optional filtering, the newest first."""
    query = Todo.objects.filter(user_id=conn.user_id)
    if params.completed is not None:
        query = query.filter(completed=params.completed)
    todos = [to_item(todo) async for todo in query.order_by("-created_at", "-id")[: params.limit or MAX_LISTED]]
    return TodoListResult(todos=todos, total=await query.acount())


def to_item(todo: Todo) -> TodoItem:
    return TodoItem(id=todo.id, title=todo.title, completed=todo.completed, created_at=todo.created_at.isoformat())


async def announce(conn: Connection, change: TodosChanged) -> None:
    """Tell the user's windows to look again; a change that is saved stands even when nobody can be told."""
    if conn.user_id is None:
        return
    try:
        await apublish_to_user(conn.user_id, "todos.changed", change)
    except PublishError:
        logger.exception("todos.changed did not reach the windows of user %s", conn.user_id)
