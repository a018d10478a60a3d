"""Records auth_user.sql: a user table as a real Django makes it.

    pip install 'django~=5.2' argon2-cffi bcrypt 'psycopg[binary]'
    python record.py 'postgresql://user@host/scratch' > auth_user.sql

The database must be empty; it is only used to let Django write into it. All
users but "unusable" have the password of PASSWORD.
"""

import sys

import django
import psycopg
from django.conf import settings

PASSWORD = "correct horse battery"
UNICODE_PASSWORD = "пароль 密码 🔑"

where = psycopg.conninfo.conninfo_to_dict(sys.argv[1])
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": where.get("dbname", "postgres"),
            "USER": where.get("user", ""),
            "PASSWORD": where.get("password", ""),
            "HOST": where.get("host", ""),
            "PORT": where.get("port", ""),
        }
    },
)
django.setup()

from django.contrib.auth import hashers  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402


def quick(hasher, **changes):
    """A hasher that costs less than Django's own, for tests that must not last."""
    return type("Quick" + hasher.__name__, (hasher,), changes)()


HASHERS = {
    "pbkdf2_sha256": quick(hashers.PBKDF2PasswordHasher, iterations=1000),
    "pbkdf2_sha1": quick(hashers.PBKDF2SHA1PasswordHasher, iterations=1000),
    "argon2": hashers.Argon2PasswordHasher(),
    "bcrypt_sha256": quick(hashers.BCryptSHA256PasswordHasher, rounds=4),
    "bcrypt": quick(hashers.BCryptPasswordHasher, rounds=4),
    "scrypt": hashers.ScryptPasswordHasher(),
    "md5": hashers.MD5PasswordHasher(),
}


def user(name, hasher="pbkdf2_sha256", password=PASSWORD, **fields):
    made = User.objects.create_user(name, **fields)
    made.password = HASHERS[hasher].encode(password, HASHERS[hasher].salt())
    made.save()
    return made


def fill():
    call_command("migrate", verbosity=0)
    for name in HASHERS:
        user(name, name)
    User.objects.create_user("default", password=PASSWORD)  # at Django's full cost
    user("root", email="Root@EXAMPLE.org", is_superuser=True, is_staff=True)
    user("alice", email="alice@example.org")
    user("Alice", "md5", PASSWORD + " of the other Alice")
    user("ﬁona")  # the ligature: create_user stores "fiona"
    user("Ünïcode", password=UNICODE_PASSWORD)
    user("inactive", is_active=False)
    User.objects.create_user("unusable")  # no password at all


def dump():
    print(f"-- Recorded by record.py with Django {django.get_version()}; do not edit.")
    with connection.schema_editor(collect_sql=True) as editor:
        editor.create_model(User)
    # The tables of permissions that belong to the model are of no use here.
    for statement in editor.collected_sql:
        if statement.startswith('CREATE TABLE "auth_user" '):
            print(statement)
    columns = [field.column for field in User._meta.concrete_fields]
    for row in User.objects.order_by("id"):
        values = ", ".join(
            psycopg.sql.Literal(getattr(row, name)).as_string(None) for name in columns
        )
        names = ", ".join(f'"{name}"' for name in columns)
        print(f'INSERT INTO "auth_user" ({names}) OVERRIDING SYSTEM VALUE VALUES ({values});')


fill()
dump()
