"""TLS for both clients, once suite.py was told of certificates."""

import ssl

# Files of the authority and of the client's own certificate and key; None for plain sockets.
files = None


def wrap(plain, host):
    """The socket with TLS around it, or as it is."""
    if files is None:
        return plain
    ca, certificate, key = files
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    return context.wrap_socket(plain, server_hostname=host)


def prepare(connection, host, port):
    """Tells a connection of stomp.py to use TLS."""
    if files is not None:
        ca, certificate, key = files
        connection.set_ssl([(host, port)], ca_certs=ca, cert_file=certificate, key_file=key)
