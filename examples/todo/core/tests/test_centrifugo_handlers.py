import pytest
from django.contrib.auth.models import User
from django_cfg.apps.centrifugo.testing import Publication
from django_cfg.errors import InvalidParamsError, PublishError

from apps.todos.models import Todo
from core import centrifugo_handlers
from core.tests.conftest import Call


def make(user: User, title: str, *, completed: bool = False) -> Todo:
    return Todo.objects.create(user=user, title=title, completed=completed)


class TestCreate:
    def test_belongs_to_the_caller(self, ann: User, call: Call) -> None:
        item = call(ann, "todos.create", title="Buy milk")["todo"]
        todo = Todo.objects.get()
        assert (todo.user, todo.title, todo.completed) == (ann, "Buy milk", False)
        assert item == {
            "id": todo.id, "title": "Buy milk", "completed": False, "created_at": todo.created_at.isoformat()
        }  # fmt: skip

    def test_space_around_the_title_is_dropped(self, ann: User, call: Call) -> None:
        assert call(ann, "todos.create", title="  Buy milk ")["todo"]["title"] == "Buy milk"

    @pytest.mark.parametrize("title", ["", "   ", "x" * 201])
    def test_a_bad_title_is_refused(self, ann: User, call: Call, title: str) -> None:
        with pytest.raises(InvalidParamsError, match="title"):
            call(ann, "todos.create", title=title)
        assert not Todo.objects.exists()


class TestUpdate:
    def test_writes_only_what_was_sent(self, ann: User, call: Call) -> None:
        todo = make(ann, "Buy milk")
        call(ann, "todos.update", id=todo.id, completed=True)
        call(ann, "todos.update", id=todo.id, title="Buy oat milk")
        todo.refresh_from_db()
        assert (todo.title, todo.completed) == ("Buy oat milk", True)

    def test_answers_with_the_whole_item(self, ann: User, call: Call) -> None:
        todo = make(ann, "Buy milk", completed=True)
        item = call(ann, "todos.update", id=todo.id, completed=False)["todo"]
        assert (item["id"], item["title"], item["completed"]) == (todo.id, "Buy milk", False)

    def test_a_todo_that_is_gone_is_named(self, ann: User, call: Call) -> None:
        with pytest.raises(ValueError, match=r"^Todo 404 not found$"):
            call(ann, "todos.update", id=404, completed=True)

    def test_somebody_elses_is_not_found(self, ann: User, ben: User, call: Call) -> None:
        todo = make(ann, "Buy milk")
        with pytest.raises(ValueError, match=f"^Todo {todo.id} not found$"):
            call(ben, "todos.update", id=todo.id, title="Mine now")
        todo.refresh_from_db()
        assert todo.title == "Buy milk"


class TestDelete:
    def test_deletes(self, ann: User, call: Call) -> None:
        todo = make(ann, "Buy milk")
        assert call(ann, "todos.delete", id=todo.id) == {"success": True, "message": f"Todo {todo.id} deleted"}
        assert not Todo.objects.exists()

    def test_somebody_elses_stays(self, ann: User, ben: User, call: Call, pushed: list[Publication]) -> None:
        todo = make(ann, "Buy milk")
        call(ben, "todos.delete", id=todo.id)
        assert Todo.objects.filter(id=todo.id).exists()
        assert pushed == []


class TestList:
    def test_the_callers_own_newest_first(self, ann: User, ben: User, call: Call) -> None:
        for title in ("first", "second"):
            make(ann, title)
        make(ben, "other")
        listed = call(ann, "todos.list")
        assert [todo["title"] for todo in listed["todos"]] == ["second", "first"]
        assert listed["total"] == 2

    @pytest.mark.parametrize(("completed", "titles"), [(True, ["done"]), (False, ["open"]), (None, ["done", "open"])])
    def test_filter(self, ann: User, call: Call, completed: bool | None, titles: list[str]) -> None:
        make(ann, "open")
        make(ann, "done", completed=True)
        assert [todo["title"] for todo in call(ann, "todos.list", completed=completed)["todos"]] == titles

    def test_ten_at_first_and_the_total_of_all(self, ann: User, call: Call) -> None:
        for number in range(12):
            make(ann, str(number))
        listed = call(ann, "todos.list")
        assert (len(listed["todos"]), listed["total"]) == (10, 12)
        assert len(call(ann, "todos.list", limit=None)["todos"]) == 12

    @pytest.mark.parametrize("limit", [0, -1, 501])
    def test_limits_out_of_range(self, ann: User, call: Call, limit: int) -> None:
        with pytest.raises(InvalidParamsError, match="limit"):
            call(ann, "todos.list", limit=limit)


class TestPush:
    def test_every_change_reaches_its_user(self, ann: User, call: Call, pushed: list[Publication]) -> None:
        id_ = call(ann, "todos.create", title="Buy milk")["todo"]["id"]
        call(ann, "todos.update", id=id_, completed=True)
        call(ann, "todos.list")
        call(ann, "todos.delete", id=id_)
        assert {publication.user_id for publication in pushed} == {str(ann.pk)}
        assert [publication.event for publication in pushed] == [
            ("todos.changed", {"change": change, "id": id_}) for change in ("created", "updated", "deleted")
        ]

    def test_a_change_stands_when_nobody_can_be_told(
        self, ann: User, call: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(*_: object) -> None:
            raise PublishError("no Centrifugo")

        monkeypatch.setattr(centrifugo_handlers, "apublish_to_user", fail)
        assert call(ann, "todos.create", title="Buy milk")["todo"]["title"] == "Buy milk"
        assert "todos.changed did not reach" in caplog.text
