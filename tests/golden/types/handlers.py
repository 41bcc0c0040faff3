"""Every type that the clients know, on both sides of a call."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, List, Literal, NamedTuple, Optional, TypeVar, Union

from pydantic import AliasPath, BaseModel, ConfigDict, Field, HttpUrl, NaiveDatetime, RootModel, computed_field
from typing_extensions import NotRequired, TypeAliasType, TypedDict

from django_cfg.rpc.router import MessageRouter

router = MessageRouter()
T = TypeVar("T")


class Color(str, enum.Enum):
    """What it looks like."""

    RED = "red"
    DARK_BLUE = "dark-blue"


class Priority(enum.IntEnum):
    LOW = 1
    HIGH = 10


class Mixed(enum.Enum):
    TEXT = "text"
    NUMBER = 1


class Named(enum.StrEnum):
    """Two names for one value."""

    FIRST = "first"
    PRIMARY = "first"
    SECOND = "second"


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


class Share(enum.Enum):
    HALF = 0.5
    ALL = "all"


class Cat(BaseModel):
    """Purrs."""

    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    good: bool = True


class Circle(BaseModel):
    radius: float


class Square(BaseModel):
    side: float
    color: Color = Color.RED


class Tree(BaseModel):
    label: str
    left: Optional[Tree] = None
    children: list[Tree] = []


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_page: int | None = None


class Base(BaseModel):
    id: uuid.UUID


class Derived(Base):
    """Has a parent."""

    note: str = ""


@dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    depth: int
    label: NotRequired[str]


class Size(NamedTuple):
    width: int
    unit: str


class Tags(RootModel[list[str]]):
    """Labels."""


class Pet(RootModel[Annotated[Union[Cat, Dog], Field(discriminator="kind")]]):
    """Either."""


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    known: int


class Blob(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes


Json = TypeAliasType("Json", "Union[dict[str, Json], list[Json], str, float, bool, None]")


class Scalars(BaseModel):
    text: str
    whole: int
    real: float
    flag: bool
    moment: dt.datetime
    moments: list[dt.datetime]
    naive: NaiveDatetime
    day: dt.date
    clock: dt.time
    span: dt.timedelta
    key: uuid.UUID
    price: decimal.Decimal
    raw: bytes
    link: HttpUrl
    anything: Any
    nothing: None
    literal: Literal["a", "b"]
    number: Literal[1, 2]


class Containers(BaseModel):
    names: list[str]
    grid: list[list[int]]
    unique: set[int]
    frozen: frozenset[str]
    pair: tuple[int, str]
    many: tuple[int, ...]
    by_number: dict[int, str]
    by_color: dict[Color, int]
    by_key: dict[uuid.UUID, Circle]
    nullable_items: list[Optional[int]]
    nullable_list: Optional[list[str]]
    size: Size
    tags: Tags
    json_value: Json


class Unions(BaseModel):
    pet: Annotated[Union[Cat, Dog], Field(discriminator="kind")]
    maybe_pet: Optional[Pet] = None
    shape: Union[Circle, Square]
    shapes: list[Union[Circle, Square]]
    number_or_text: Union[int, str]
    choice: Union[Literal["auto"], int]
    mixed: Mixed


class Nested(BaseModel):
    tree: Tree
    page: Page[Circle]
    derived: Derived
    point: Point
    options: Options
    opened: Open
    blob: Blob
    priority: Priority


class Defaults(BaseModel):
    """Each of these may be left out."""

    text: str = "it's \"quoted\""
    empty: str = ""
    zero: int = 0
    whole: int = 3
    real: float = 1.5
    on: bool = True
    off: bool = False
    nothing: str | None = None
    something: int | None = 5
    color: Color = Color.DARK_BLUE
    priority: Priority = Priority.HIGH
    day: dt.date = dt.date(2024, 2, 29)
    moment: dt.datetime = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)
    span: dt.timedelta = dt.timedelta(days=1, milliseconds=1500)
    price: decimal.Decimal = decimal.Decimal("1.50")
    raw: bytes = b"raw"
    names: list[str] = Field(default_factory=list)
    numbers: list[int] = [1, 2]
    counts: dict[str, int] = {"a": 1}
    unique: set[int] = {1}
    pair: tuple[int, str] = (1, "a")
    circle: Circle = Circle(radius=1)
    key: uuid.UUID = Field(default_factory=uuid.uuid4)
    infinite: float = float("inf")
    old: int = Field(1, deprecated=True, description="Use whole.")


class Filled(BaseModel):
    """Defaults whose types say more than their values."""

    letters: List[Literal["x", "y"]] = ["x"]
    by_letter: dict[str, Literal["x", "y"]] = Field({"a": "x"}, description="Described.")
    numbers: set[Literal[1, 2]] = {1}
    either: list[Union[int, str]] = [1, "a"]
    perhaps: Optional[List[Literal["x"]]] = ["x"]
    colors: Optional[List[Union[Color, int]]] = [Color.RED, 1]
    named: Named = Named.PRIMARY
    rights: Rights = Rights.READ | Rights.WRITE
    share: Share = Share.HALF
    pathed: int = Field(0, validation_alias=AliasPath("pathed"))


class Aliases(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    user_id: str = Field(alias="userId")
    dashed: str = Field("x", alias="x-dashed name", description="Not an identifier.")
    class_: str = Field(alias="class")
    list: List[int] = []
    rest: Optional[int] = Field(None, alias="json")

    @computed_field
    @property
    def shown(self) -> str:
        return self.user_id


class Odd(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    call: Optional[Callable[[], int]] = None


@router.register("types.scalars")
async def scalars(conn, params: Scalars) -> Scalars:
    return params


@router.register("types.containers")
async def containers(conn, params: Containers) -> Containers:
    return params


@router.register("types.unions")
async def unions(conn, params: Unions) -> Unions:
    return params


@router.register("types.nested")
async def nested(conn, params: Nested) -> Nested:
    return params


@router.register("types.defaults")
async def defaults(conn, params: Defaults) -> Defaults:
    return params


@router.register("types.filled")
async def filled(conn, params: Filled) -> Filled:
    return params


@router.register("types.aliases")
async def aliases(conn, params: Aliases) -> Aliases:
    return params


@router.register("types.root")
async def root(conn, params: Tags) -> Pet:
    return Pet(Cat())


@router.register("types.page")
async def page(conn, params: Odd) -> Page[Pet]:
    return Page[Pet](items=[])
