from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST
from django_cfg.models.websocket import NotificationRequest, NotificationResponse
from django_cfg.modules.django_rpc import RPCError, get_rpc_client

from apps.todos.models import Todo

rpc = get_rpc_client()


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


@require_POST
def remind(request: HttpRequest) -> HttpResponse:
    """Blocking code that shows something in all windows of its user, and knows in how many."""
    if not request.user.is_authenticated:
        return JsonResponse({"error": "nobody is logged in"}, status=401)
    undone = Todo.objects.filter(user=request.user, completed=False)
    newest = undone.order_by("-created_at", "-id").first()
    reminder = NotificationRequest(
        user_id=request.user.pk,
        notification_type="todos.reminder",
        title=f"{undone.count()} open",
        message="Nothing left to do." if newest is None else f"The newest: {newest.title}",
    )
    try:
        result = rpc.call("send_notification", reminder, NotificationResponse, timeout=5)
    except RPCError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"delivered": result.delivered, "connections": result.connections})
