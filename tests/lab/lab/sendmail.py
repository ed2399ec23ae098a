"""Sendmail as Debian packs it, with one daemon under test."""

import subprocess

from . import certificates, place, wait
from .process import Process

FOLDER = place.STATE / "sendmail"
HOST = "127.0.2."           # one address per daemon
ADDRESS = HOST + "1"
BINARY = "/usr/libexec/sendmail/sendmail"

MC = """\
divert(0)dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `sendmail.client.test')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`STATUS_FILE', `{folder}/status')dnl
define(`HELP_FILE', `{folder}/helpfile')dnl
define(`ALIAS_FILE', `{folder}/aliases')dnl
define(`confPID_FILE', `{folder}/pid')dnl
define(`confLOG_LEVEL', `14')dnl
define(`confTO_IDENT', `0')dnl
define(`confCACERT', `{ca}')dnl
define(`confCACERT_PATH', `{folder}')dnl
define(`confSEPARATE_PROC', `True')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confMAX_DAEMON_CHILDREN', `200')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`mailertable', `hash {folder}/mailertable')dnl
{services}dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
Cwlocal.test
"""

# With one daemon an administrator writes INPUT_MAIL_FILTER and leaves InputMailFilters out.
SERVICE = """\
MAIL_FILTER(`{name}', `S=inet:{port}@127.0.0.1, F=T, T=C:10s;S:30s;R:30s;E:2m')dnl
DAEMON_OPTIONS(`Name=MTA-{name}, Family=inet, Addr={address}, Port=25, InputMailFilters={name}')dnl
"""

# A plain domain is a next hop whose policy counts; [host] is a route that the administrator pinned.
MAILERTABLE = """\
routed.test     esmtp:smart.test
routedbad.test  esmtp:smartbad.test
pinned.test     esmtp:[mx1.pinned.test]
relayed.test    relay:relayed.test
"""


class Sendmail:
    def __init__(self, daemons):
        """A listener on 127.0.2.1 for the first daemon, on 127.0.2.2 for the second, ... Ten are the most it can have."""
        self.services = {}
        for n, daemon in enumerate(daemons, 1):
            daemon.address["Sendmail"] = f"{HOST}{n}"
            self.services[f"{HOST}{n}"] = daemon.port

    def start(self):
        (FOLDER / "queue").mkdir(parents=True)
        for name in ("helpfile", "aliases", "status"):
            (FOLDER / name).touch()
        services = "".join(SERVICE.format(name=f"sts{n}", address=address, port=port)
                           for n, (address, port) in enumerate(self.services.items(), 1))
        mc = MC.format(folder=FOLDER, ca=certificates.CA_FILE, services=services)
        (FOLDER / "sendmail.mc").write_text(mc)
        cf = FOLDER / "sendmail.cf"
        with open(cf, "w") as output, open(place.LOG / "m4.log", "w") as errors:
            m4 = ["m4", "-D_CF_DIR_=/usr/share/sendmail/cf/", FOLDER / "sendmail.mc"]
            subprocess.run(m4, stdout=output, stderr=errors, check=True)
        makemap = ["/usr/libexec/sendmail/makemap", "-C", cf, "hash", FOLDER / "mailertable"]
        subprocess.run(makemap, input=MAILERTABLE, text=True, check=True)
        self.process = Process("sendmail", [BINARY, "-C", cf, "-L", "sm-mta", "-bD", "-q15m"])

    def ready(self, seconds):
        for address in self.services:
            wait.port(address, 25, seconds, self.process.alive)

    def stop(self):
        self.process.stop()
