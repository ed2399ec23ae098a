"""A laboratory for sts-milter: signed DNS, policy hosts, MX hosts, Postfix and Sendmail, all on one machine."""
