"""A Django service that takes access tokens by JWTAuthentication of the real djangorestframework-simplejwt.

It is set up by its environment: DATABASE is a file for SQLite, USERS are the names of its users, PUBLIC_KEY is a file in PEM
or JWK_URL an address to get the keys from, and ADDRESS is where to listen. It serves /protected/ with gunicorn.
"""

import os
import pathlib
import sys

import django
from django.conf import settings

key = {"JWK_URL": os.environ["JWK_URL"]} if "JWK_URL" in os.environ else {"VERIFYING_KEY": pathlib.Path(os.environ["PUBLIC_KEY"]).read_text()}
settings.configure(
    SECRET_KEY="for a test, and used for nothing",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    SIMPLE_JWT={"ALGORITHM": "ES256", "USER_ID_FIELD": "username", **key},
)
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class Protected(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": request.user.get_username()})


urlpatterns = [path("protected/", Protected.as_view())]
application = get_wsgi_application()

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    for name in os.environ["USERS"].split():
        User.objects.create_user(name)
    folder = str(pathlib.Path(__file__).resolve().parent)
    arguments = ["-m", "gunicorn", "--chdir", folder, "--bind", os.environ["ADDRESS"], "simplejwt_service"]
    os.execv(sys.executable, [sys.executable, *arguments])
