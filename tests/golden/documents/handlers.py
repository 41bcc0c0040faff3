"""The models and methods of the users' guides."""

from datetime import datetime
from typing import Any, Dict, List, Optional

from pydantic import BaseModel, Field

from django_cfg.rpc.router import MessageRouter

router = MessageRouter()


class TaskStatsParams(BaseModel):
    user_id: str = Field(..., description="User ID")
    limit: int = Field(10, description="Max results")


class TaskStatsResult(BaseModel):
    total: int = Field(..., description="Total tasks")
    completed: int = Field(..., description="Completed tasks")


@router.register("tasks.get_stats")
async def get_task_stats(conn, params: TaskStatsParams) -> TaskStatsResult:
    """Get task statistics for user."""
    return TaskStatsResult(total=100, completed=75)


class Params(BaseModel):
    required: str
    optional: Optional[str] = None


class Data(BaseModel):
    tags: List[str]
    metadata: Dict[str, Any]


@router.register("data.convert")
async def convert(conn, params: Params) -> Data:
    return Data(tags=[], metadata={})


class Address(BaseModel):
    city: str
    country: str


class User(BaseModel):
    name: str
    address: Address


class GetUserParams(BaseModel):
    user_id: str = Field(..., description="User ID to fetch")
    limit: int = Field(10, description="Maximum results")
    include_profile: bool = Field(True, description="Include full profile data in response")


@router.register("users.get")
async def get_user(conn, params: GetUserParams) -> User:
    """
    Get user by ID.

    Retrieves full user profile including permissions and settings.
    """
    return User(name="", address=Address(city="", country=""))


class TaskStatus(BaseModel):
    task_id: str
    done: bool
    progress: float
    created_at: datetime


class BatchTaskParams(BaseModel):
    task_ids: List[str]


class BatchTaskResult(BaseModel):
    results: List[TaskStatus]


@router.register("tasks.batch_status")
async def batch_task_status(conn, params: BatchTaskParams) -> BatchTaskResult:
    """Get status for multiple tasks."""
    return BatchTaskResult(results=[])


class StreamParams(BaseModel):
    source: str
    limit: int


class StreamResult(BaseModel):
    stream_id: str
    channel: str


@router.register("data.stream")
async def stream_data(conn, params: StreamParams) -> StreamResult:
    """Start data stream."""
    return StreamResult(stream_id="stream-123", channel="data.stream.123")


class TodoItem(BaseModel):
    id: int
    title: str
    completed: bool
    created_at: str


class UpdateTodoParams(BaseModel):
    id: int = Field(..., description="Todo ID")
    title: Optional[str] = Field(None, description="New title")
    completed: Optional[bool] = Field(None, description="Completion status")


class ListTodosParams(BaseModel):
    completed: Optional[bool] = Field(None, description="Filter by completion")
    limit: Optional[int] = Field(10, description="Max results")


class TodoResult(BaseModel):
    todo: TodoItem


class TodoListResult(BaseModel):
    todos: List[TodoItem]
    total: int


@router.register("todos.update")
async def update_todo(conn, params: UpdateTodoParams) -> TodoResult:
    """Update an existing todo item."""
    raise NotImplementedError


@router.register("todos.list")
async def list_todos(conn, params: ListTodosParams) -> TodoListResult:
    """List todos with optional filtering."""
    raise NotImplementedError
