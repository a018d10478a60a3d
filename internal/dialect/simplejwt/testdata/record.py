"""Records what djangorestframework-simplejwt answers, for the replay in golden_test.go.

It makes a Django project with the package and its blacklist on a fresh SQLite file for each part of exchanges.json,
serves it with gunicorn on the loopback interface, runs the exchanges of the part against it in their order, and writes
the answers to recorded.json, or to the file that is named on the command line. README.md says how to run it and what
the files hold.
"""

import base64
import datetime
import hashlib
import hmac
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
PART = "LATCHKEY_RECORD_PART"  # what the project of one part needs to know, in JSON

import django
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

part = json.loads(os.environ.get(PART, "{}"))


def setting(name, value):
    return datetime.timedelta(seconds=value) if name.endswith("_LIFETIME") else value


settings.configure(
    SECRET_KEY="only for recordings, and used for nothing",
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": part.get("database", "")}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
    ],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    },
    SIMPLE_JWT={
        "ALGORITHM": "ES256",
        "SIGNING_KEY": part.get("private"),
        "VERIFYING_KEY": part.get("public"),
        **{name: setting(name, value) for name, value in part.get("settings", {}).items()},
    },
)
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt import views


class Protected(APIView):
    """Names whoever asks."""

    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": request.user.get_username()})


urlpatterns = [
    path("api/token/", views.token_obtain_pair),
    path("api/token/refresh/", views.token_refresh),
    path("api/token/verify/", views.token_verify),
    path("api/token/blacklist/", views.token_blacklist),
    path("api/token/sliding/", views.token_obtain_sliding),
    path("api/token/sliding/refresh/", views.token_refresh_sliding),
    path("protected/", Protected.as_view()),
]
application = get_wsgi_application()

# Headers that a client can act on; the others are the WSGI server's or Django's middleware's.
HEADERS = ["Allow", "Content-Type", "Location", "Retry-After", "Vary", "WWW-Authenticate"]


def new_key():
    """Makes a key for ES256: both halves in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def forged(step, token):
    """Makes another token of one that was issued, as a step of the script describes it."""
    head, payload, signature = token.split(".")
    claims = json.loads(unb64(payload))
    for name, value in step.get("set", {}).items():
        claims[name] = int(time.time()) + value["now"] if isinstance(value, dict) and "now" in value else value
    for name in step.get("drop", []):
        claims.pop(name, None)
    header = {"typ": "JWT", **step.get("header", {})}
    sign = step["sign"]
    if sign == "own":
        return jwt.encode(claims, part["private"], algorithm="ES256", headers=header)
    if sign == "other":
        return jwt.encode(claims, new_key()[0], algorithm="ES256", headers=header)
    if sign == "kept":
        return ".".join([head, b64(json.dumps(claims).encode()), signature])
    if sign == "flipped":
        return ".".join([head, payload, b64(bytes([unb64(signature)[0] ^ 1]) + unb64(signature)[1:])])
    algorithm = {"none": "none", "None": "None", "public": "HS256"}[sign]
    signed = b64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()) + "." + b64(json.dumps(claims).encode())
    if sign == "public":  # the public key taken for a shared secret
        return signed + "." + b64(hmac.digest(part["public"].encode(), signed.encode(), hashlib.sha256))
    return signed + "."


def act(step, kept):
    """Does what a step of the script asks for beside the requests."""
    what = step["do"]
    if what == "forge":
        kept[step["keep"]] = forged(step, kept[step["of"]])
        return
    user = User.objects.get(username=step["user"])
    if what == "deactivate":
        User.objects.filter(pk=user.pk).update(is_active=False)
    elif what == "activate":
        User.objects.filter(pk=user.pk).update(is_active=True)
    elif what == "delete":
        user.delete()
    elif what == "password":
        user.set_password(step["password"])
        user.save()
    else:
        raise ValueError(what)


def filled(text, kept):
    """Puts in the tokens that were kept, and long text: {{alice}}, {{fill:1000}}."""

    def value(match):
        name = match[1]
        return "a" * int(name[5:]) if name.startswith("fill:") else kept[name]

    return re.sub(r"\{\{([^{}]+)\}\}", value, text)


def described(token, ids):
    """Tells what a token is like, without what differs from one to the next."""
    head, payload, _ = token.split(".")
    claims = json.loads(unb64(payload))
    issued = claims.get("iat", 0)

    def normal(name, value):
        if name == "iat":
            return "now" if isinstance(value, int) and abs(value - time.time()) < 60 else value
        if isinstance(value, int) and abs(value - issued) < 1000000:  # the clock may move on in between
            return f"iat + {round(value - issued, -1)}"
        if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value):
            return "(32 hexadecimal digits)"
        return ids.get(value, value) if isinstance(value, str) else value

    return {"header": json.loads(unb64(head)), "claims": {name: normal(name, value) for name, value in claims.items()}}


def exchange(port, step, kept, ids):
    body, headers = None, list(step.get("headers", []))
    if "json" in step:
        body = filled(json.dumps(step["json"], ensure_ascii=False), kept).encode("utf-8")
        headers = [["Content-Type", "application/json"]] + headers
    elif "body" in step:
        body = filled(step["body"], kept).encode("utf-8")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(step.get("method", "POST"), step["path"], skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, filled(value, kept).encode("latin-1"))
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    result = {"name": step["name"], "status": answer.status}
    result["headers"] = {name: answer.getheader(name) for name in HEADERS if answer.getheader(name) is not None}
    if result["headers"].get("Content-Type", "").startswith("text/html"):
        result["body"] = "(a page)" if content else ""
        return result
    result["body"] = content.decode("utf-8")
    for field, name in step.get("keep", {}).items():
        kept[name] = json.loads(content)[field]
        result.setdefault("tokens", {})[field] = described(kept[name], ids)
    for name, token in kept.items():
        result["body"] = result["body"].replace(token, "{{%s}}" % name)
    result["body"] = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "(a token)", result["body"])
    return result


def wait_for(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server does not start")


def run_part():
    """Runs one part, in a process of its own, and prints the answers."""
    call_command("migrate", verbosity=0)
    ids = {}
    for user in part["users"]:
        made = User.objects.create_user(user["name"], password=user["password"])
        ids[str(made.pk)] = "(the id of %s)" % user["name"]
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
        for step in part["steps"]:
            if "do" in step:
                act(step, kept)
            else:
                answers.append(exchange(port, step, kept, ids))
        print(json.dumps(answers))
    finally:
        server.terminate()
        server.wait()


def run(one):
    private, public = new_key()
    with tempfile.TemporaryDirectory() as folder:
        known = {**one, "private": private, "public": public, "database": os.path.join(folder, "record.sqlite3")}
        output = subprocess.run(
            [sys.executable, __file__],
            env={**os.environ, PART: json.dumps(known), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    return json.loads(output)


def main(target):
    script = json.loads((HERE / "exchanges.json").read_text("utf-8"))
    import importlib.metadata

    versions = {"python": "%d.%d" % sys.version_info[:2], "django": django.__version__}
    for name in ("djangorestframework", "djangorestframework-simplejwt", "PyJWT"):
        versions[name] = importlib.metadata.version(name)
    parts = []
    for one in script["parts"]:
        lines = ",\n".join("  " + json.dumps(a, ensure_ascii=False) for a in run(one))
        parts.append('{"name": %s, "answers": [\n%s\n]}' % (json.dumps(one["name"]), lines))
    text = '{"versions": %s,\n"parts": [\n%s\n]}\n' % (json.dumps(versions), ",\n".join(parts))
    pathlib.Path(target).write_text(text, "utf-8")


if __name__ == "__main__":
    if part:
        run_part()
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else HERE / "recorded.json")
