"""A Django project with the real djangorestframework-simplejwt that gives out tokens by its own views, as they are documented.

It is set up by its environment: ALGORITHM, and SIGNING_KEY, a file with the secret or with a private key in PEM. It prints, as
JSON, an access and a refresh token of its user admin, a sliding one, and what its views say of them.
"""

import json
import os
import pathlib

import django
from django.conf import settings

algorithm = os.environ["ALGORITHM"]
settings.configure(
    SECRET_KEY="for a test, and used for nothing",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "rest_framework_simplejwt.token_blacklist"],
    SIMPLE_JWT={
        "ALGORITHM": algorithm,
        "SIGNING_KEY": pathlib.Path(os.environ["SIGNING_KEY"]).read_text(),
        "VERIFYING_KEY": pathlib.Path(os.environ["VERIFYING_KEY"]).read_text() if "VERIFYING_KEY" in os.environ else "",
        "USER_ID_FIELD": "username",
    },
)
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import path
from rest_framework.test import APIClient
from rest_framework_simplejwt import views

urlpatterns = [
    path("api/token/", views.TokenObtainPairView.as_view()),
    path("api/token/sliding/", views.TokenObtainSlidingView.as_view()),
    path("api/token/verify/", views.TokenVerifyView.as_view()),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    User.objects.create_user("admin", password="of the project")
    client = APIClient()

    def ask(target, **fields):
        answer = client.post(target, fields, format="json")
        assert answer.status_code == 200, (target, answer.status_code, answer.content)
        return answer.json()

    who = {"username": "admin", "password": "of the project"}
    tokens = {**ask("/api/token/", **who), "sliding": ask("/api/token/sliding/", **who)["token"], "second": ask("/api/token/", **who)["refresh"]}
    for token in tokens.values():
        ask("/api/token/verify/", token=token)
    print(json.dumps(tokens))
