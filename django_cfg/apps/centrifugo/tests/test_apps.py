from __future__ import annotations

from django.apps import apps


def test_the_app_has_a_label_of_its_own() -> None:
    assert apps.get_app_config("django_cfg_centrifugo").name == "django_cfg.apps.centrifugo"
