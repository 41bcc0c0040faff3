from django.contrib.auth.views import LogoutView
from django.urls import include, path

from core.views import LoginPage, remind, todos_page

urlpatterns = [
    path("", todos_page, name="todos"),
    path("remind/", remind, name="remind"),
    path("login/", LoginPage.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("centrifugo/", include("django_cfg.apps.centrifugo.urls")),
]
