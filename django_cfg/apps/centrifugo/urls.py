"""`path("centrifugo/", include("django_cfg.apps.centrifugo.urls"))`."""

from django.urls import path

from django_cfg.apps.centrifugo import views

app_name = "centrifugo"
urlpatterns = [
    path("publish", views.publish_proxy, name="publish"),
    path("rpc", views.rpc_proxy, name="rpc"),
    path("token", views.connection_token, name="token"),
]
