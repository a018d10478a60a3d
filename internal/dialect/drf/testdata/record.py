"""Records what Django REST framework answers, for the replay in golden_test.go.

It makes a Django project with rest_framework.authtoken on a fresh SQLite file, serves it with gunicorn on the loopback
interface, runs the exchanges of exchanges.json against it in their order, and writes the answers to recorded.json.
README.md says how to run it and what the files hold.
"""

import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
DATABASE = "LATCHKEY_RECORD_DATABASE"

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only for recordings, and used for nothing",
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get(DATABASE, "")}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework.authtoken",
    ],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    },
)
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import path
from django.core.wsgi import get_wsgi_application
from rest_framework import exceptions, serializers
from rest_framework.authentication import BasicAuthentication, SessionAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class Protected(APIView):
    """Names whoever asks."""

    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": request.user.get_username()})

    post = get


class SampleSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=8)
    email = serializers.EmailField(required=False)
    note = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False, help_text="Anything.")


class Sample(APIView):
    """Fields of several kinds."""

    def get_serializer(self, *args, **kwargs):
        return SampleSerializer(*args, **kwargs)

    def get(self, request):
        return Response({"text": "<é & \u2028>", "none": None})

    def post(self, request):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(serializer.validated_data, status=201)


class Methods(APIView):
    def get(self, request):
        return Response([])

    def post(self, request):
        return Response({}, status=201)

    def put(self, request):
        return Response({"put": 1.5})

    def patch(self, request):
        return Response(status=404)

    def delete(self, request):
        return Response(status=204)


class Raise(APIView):
    def get(self, request, what):
        raise {
            "denied": exceptions.PermissionDenied(),
            "not-found": exceptions.NotFound(),
            "throttled": exceptions.Throttled(),
            "throttled-1": exceptions.Throttled(0.5),
            "throttled-60": exceptions.Throttled(59.2),
            "list": exceptions.ValidationError(["An API token was already issued to you."]),
            "server": exceptions.APIException(),
        }[what]


urlpatterns = [
    path("api-token-auth/", obtain_auth_token),
    path("protected/", Protected.as_view()),
    path("protected/basic/", Protected.as_view(authentication_classes=[BasicAuthentication, TokenAuthentication])),
    path("protected/session/", Protected.as_view(authentication_classes=[SessionAuthentication, TokenAuthentication])),
    path("protected/none/", Protected.as_view(authentication_classes=[])),
    path("sample/", Sample.as_view()),
    path("methods/", Methods.as_view()),
    path("raise/<what>/", Raise.as_view()),
]
application = get_wsgi_application()

# Headers that a client can act on; the others are the WSGI server's or Django's middleware's.
HEADERS = ["Allow", "Content-Type", "Location", "Retry-After", "Vary", "WWW-Authenticate"]


def make_users(script):
    for user in script["users"]:
        User.objects.create_user(user["name"], password=user["password"])


def act(step):
    """Does to the database what a step of the script asks for, as an administrator would."""
    user = User.objects.get(username=step["user"])
    if step["do"] == "deactivate":
        User.objects.filter(pk=user.pk).update(is_active=False)
    elif step["do"] == "revoke":
        Token.objects.filter(user=user).delete()
    else:
        raise ValueError(step["do"])


def filled(text, kept):
    """Puts in the tokens that were kept, and long text: {{alice}}, {{fill:1000}}."""

    def value(match):
        name = match[1]
        return "a" * int(name[5:]) if name.startswith("fill:") else kept[name]

    return re.sub(r"\{\{([^{}]+)\}\}", value, text)


def exchange(port, step, kept):
    body = None
    if "body" in step:
        body = filled(step["body"], kept).encode("utf-8")
    if "bytes" in step:  # each character is one byte
        body = filled(step["bytes"], kept).encode("latin-1")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(step["method"], step["path"], skip_accept_encoding=True)
    for name, value in step.get("headers", []):
        connection.putheader(name, filled(value, kept).encode("latin-1"))
    if step.get("chunked"):
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(body, encode_chunked=True)
    else:
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    headers = {name: answer.getheader(name) for name in HEADERS if answer.getheader(name) is not None}
    if headers.get("Content-Type", "").startswith("text/html"):
        text = "(a page)" if content else ""
    else:
        text = content.decode("utf-8")
    if "keep" in step:
        kept[step["keep"]] = json.loads(content)["token"]
    for name, token in kept.items():
        text = text.replace(token, "{{%s}}" % name)
    return {"name": step["name"], "status": answer.status, "headers": headers, "body": text}


def wait_for(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server does not start")


def run(script):
    call_command("migrate", verbosity=0)
    make_users(script)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--chdir", str(HERE), "--bind", f"fd://{listener.fileno()}", "record"],
        pass_fds=[listener.fileno()],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        answers, kept = [], {}
        for step in script["steps"]:
            if "do" in step:
                act(step)
            else:
                answers.append(exchange(port, step, kept))
        return answers
    finally:
        server.terminate()
        server.wait()


def main():
    script = json.loads((HERE / "exchanges.json").read_text("utf-8"))
    answers = run(script)
    import rest_framework

    lines = ",\n".join("  " + json.dumps(a, ensure_ascii=False) for a in answers)
    versions = {"python": "%d.%d" % sys.version_info[:2], "django": django.__version__, "drf": rest_framework.VERSION}
    text = '{"versions": %s,\n"answers": [\n%s\n]}\n' % (json.dumps(versions), lines)
    (HERE / "recorded.json").write_text(text, "utf-8")


if __name__ == "__main__":
    if DATABASE in os.environ:
        main()
    else:  # once more, with a database to be configured for
        with tempfile.TemporaryDirectory() as folder:
            os.environ[DATABASE] = os.path.join(folder, "record.sqlite3")
            sys.exit(subprocess.call([sys.executable, __file__]))
