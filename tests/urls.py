from django.urls import include, path

urlpatterns = [path("centrifugo/", include("django_cfg.apps.centrifugo.urls"))]
