from django.http import HttpRequest, JsonResponse
from django.urls import path

from django_cfg.apps.centrifugo.publish import publish_to_user


def push(request: HttpRequest, user_id: str) -> JsonResponse:
    """A synchronous view that pushes, as a project's own view would."""
    publish_to_user(user_id, "from.view", {"path": request.path})
    return JsonResponse({"pushed": True})


urlpatterns = [path("push/<str:user_id>", push)]
