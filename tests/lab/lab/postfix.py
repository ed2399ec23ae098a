"""Postfix as Debian packs it, one smtpd per daemon under test."""

import subprocess

from . import certificates, place, wait

CONFIG = "/etc/postfix"
HOST = "127.0.1."          # one address per smtpd
SPOOL = place.STATE / "postfix" / "spool"
DATA = place.STATE / "postfix" / "data"

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {spool}
data_directory = {data}
maillog_file = {log}
maillog_file_prefixes = /
myhostname = postfix.client.test
mydestination = local.test
local_transport = discard:
local_recipient_maps =
alias_maps =
alias_database =
relay_domains = relayed.test
transport_maps = texthash:/etc/postfix/transport
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
smtp_tls_security_level = may
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 1

# The line an administrator adds; each smtpd in master.cf has its own smtpd_milters here.
milter_default_action = tempfail
"""

# {rcpt_host} at the milter is the right-hand side: a domain, whose policy then counts, or a [host], which is accepted.
TRANSPORT = """\
routed.test     smtp:smart.test
routedbad.test  smtp:smartbad.test
pinned.test     smtp:[mx1.pinned.test]
"""

MASTER_CF = """\
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
smtp      unix  - - n -     - smtp
relay     unix  - - n -     - smtp
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
anvil     unix  - - n -     1 anvil
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

SMTPD = "{address}:25 inet n - n - 100 smtpd\n    -o smtpd_milters=inet:127.0.0.1:{port}\n"


class Postfix:
    def __init__(self, daemons):
        """An smtpd on 127.0.1.1 for the first daemon, on 127.0.1.2 for the second, ..."""
        self.services = {}
        for n, daemon in enumerate(daemons, 1):
            daemon.address["Postfix"] = f"{HOST}{n}"
            self.services[f"{HOST}{n}"] = daemon.port
        self.log = place.LOG / "postfix.log"

    def start(self):
        for folder in (SPOOL, DATA):
            folder.mkdir(parents=True)
        subprocess.run(["chown", "postfix", DATA], check=True)
        write("main.cf", MAIN_CF.format(spool=SPOOL, data=DATA, log=self.log, ca=certificates.CA_FILE))
        write("transport", TRANSPORT)
        smtpds = "".join(SMTPD.format(address=address, port=port) for address, port in self.services.items())
        write("master.cf", smtpds + MASTER_CF)
        self.command("start")

    def ready(self, seconds):
        for address in self.services:
            wait.port(address, 25, seconds)

    def stop(self):
        self.command("abort")

    def command(self, what):
        with open(place.LOG / "postfix-command.log", "ab") as output:
            subprocess.run(["/usr/sbin/postfix", what], stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True)


def write(name, text):
    with open(f"{CONFIG}/{name}", "w") as file:
        file.write(text)
