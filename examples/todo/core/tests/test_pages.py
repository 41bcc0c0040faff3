import re

from django.contrib.auth.models import User
from django.test import Client


def test_the_page_is_for_people_who_are_logged_in(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/login/?next=/"


def test_the_page_names_its_user_and_the_token_view(client: Client, ann: User) -> None:
    client.force_login(ann)
    page = client.get("/").content.decode()
    assert ">ann<" in page
    assert 'data-token-url="/centrifugo/token"' in page


def test_a_session_is_worth_a_token(client: Client, ann: User) -> None:
    assert client.post("/centrifugo/token").status_code == 401
    client.force_login(ann)
    assert client.post("/centrifugo/token").json()["user_id"] == str(ann.pk)


def test_no_other_host_and_nothing_inline(client: Client, ann: User) -> None:
    pages = [client.get("/login/")]
    client.force_login(ann)
    pages.append(client.get("/"))
    for response in pages:
        text = response.content.decode()
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert not re.search(r"""<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|(?:src|href)="(?:https?:)?//""", text)


def test_a_reminder_says_that_nobody_watches(client: Client, ann: User) -> None:
    """No window is open, and no server: the call is answered in this process, which can reach no browser."""
    assert client.post("/remind/").status_code == 401
    client.force_login(ann)
    response = client.post("/remind/")
    assert response.status_code == 503
    assert "no way to browsers" in response.json()["error"]


def test_a_reminder_needs_a_post(client: Client, ann: User) -> None:
    client.force_login(ann)
    assert client.get("/remind/").status_code == 405
