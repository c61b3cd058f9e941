#!/bin/sh
# certificates.sh FOLDER: makes an authority, a certificate for a broker on this machine and one for a client, as PEM and,
# for Java, as PKCS12 with the password "interop".
set -eu
cd "$1"
new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
sign() { # sign NAME SUBJECT EXTENSIONS
    new_key "$1.key"
    printf '%s\n' "$3" >"$1.ext"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
new_key ca.key
openssl req -x509 -new -key ca.key -subj "/O=Example/CN=Interop Authority" -days 30 \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem
sign broker "/O=Example/CN=broker" "subjectAltName=DNS:localhost,IP:127.0.0.1"
sign client "/O=Example/CN=interop client" "extendedKeyUsage=clientAuth"
openssl pkcs12 -export -in client.pem -inkey client.key -name client -passout pass:interop -out client.p12
keytool -importcert -noprompt -alias ca -file ca.pem -keystore trust.p12 -storetype PKCS12 -storepass interop 2>/dev/null
chmod 600 ./*.key
