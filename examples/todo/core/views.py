from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie


class LoginPage(LoginView):
    """Django's own view; under DEBUG the page names the account that `prepare_demo` makes."""

    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(demo_account=settings.DEBUG, **kwargs)


@login_required
@ensure_csrf_cookie
def todos_page(request: HttpRequest) -> HttpResponse:
    """The frame only: the todos come over the WebSocket."""
    return render(request, "core/todos.html")
