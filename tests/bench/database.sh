# Sourced by the scripts here: a database server of their own for as long as they take, with all its syncs on. Debian's
# packages postgresql and mariadb-server; as root the servers run as their own users.
database_pid= database_engine= database_home= database_port=
database_password=bench

database_has() { # ENGINE: whether this machine has it
    case $1 in
    postgres) [ -n "$(database_tool initdb)" ] ;;
    mariadb) [ -n "$(database_tool mariadbd)" ] ;;
    galera) [ -n "$(database_tool mariadbd)" ] && command -v rsync >/dev/null && [ -n "$(find /usr/lib /usr/lib64 -name libgalera_smm.so 2>/dev/null | head -n 1)" ] ;;
    esac
}

database_tool() { # NAME: where it is; Debian keeps some out of the way
    command -v "$1" || ls /usr/lib/postgresql/*/bin/"$1" /usr/sbin/"$1" 2>/dev/null | tail -n 1
}

database_as() { # USER COMMAND…: in this process
    local user=$1
    shift
    cd /
    if [ "$(id -u)" = 0 ]; then exec setpriv --reuid "$user" --regid "$user" --clear-groups -- "$@"; else exec "$@"; fi
}

# Makes a data folder in HOME, which must not be there yet, and starts a server on it.
database_start() { # ENGINE HOME PORT
    database_engine=$1 database_home=$2 database_port=$3
    local data=$2/data
    database_has "$1" || { echo "$1 is not installed here; ./setup.sh test installs it" >&2; return 1; }
    mkdir -p "$data"
    chmod 755 "$database_home"
    case $1 in
    postgres)
        [ "$(id -u)" != 0 ] || chown postgres:postgres "$data"
        chmod 700 "$data"
        echo "$database_password" >"$database_home/password"
        (database_as postgres "$(database_tool initdb)" -D "$data" -U jackfield --auth=scram-sha-256 --no-sync \
            --pwfile "$database_home/password" --encoding=UTF8 --locale=C) >"$database_home/made" 2>&1 ||
            { cat "$database_home/made" >&2; return 1; }
        ;;
    mariadb)
        [ "$(id -u)" != 0 ] || chown mysql:mysql "$data"
        cat >"$database_home/init.sql" <<SQL
CREATE DATABASE IF NOT EXISTS jackfield;
CREATE USER IF NOT EXISTS 'jackfield'@'%' IDENTIFIED BY '$database_password';
CREATE USER IF NOT EXISTS 'jackfield'@'localhost' IDENTIFIED BY '$database_password';
GRANT ALL ON jackfield.* TO 'jackfield'@'%';
GRANT ALL ON jackfield.* TO 'jackfield'@'localhost';
SQL
        (database_as mysql "$(database_tool mariadb-install-db)" --no-defaults --datadir="$data" \
            --auth-root-authentication-method=normal --skip-test-db) >"$database_home/made" 2>&1 ||
            { cat "$database_home/made" >&2; return 1; }
        ;;
    esac
    case $1 in
    postgres)
        (database_as postgres "$(database_tool postgres)" -D "$data" -p "$3" -c listen_addresses=127.0.0.1 \
            -c "unix_socket_directories=$data") >"$database_home/log" 2>&1 &
        ;;
    mariadb)
        (database_as mysql "$(database_tool mariadbd)" --no-defaults --datadir="$data" --port="$3" --bind-address=127.0.0.1 \
            --socket="$data/socket" --init-file="$database_home/init.sql" --innodb-flush-log-at-trx-commit=1 \
            --innodb-buffer-pool-size=256M) >"$database_home/log" 2>&1 &
        ;;
    esac
    database_pid=$!
    until database_sql 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$database_pid" 2>/dev/null || { cat "$database_home/log" >&2; return 1; }
        sleep 0.1
    done
}

database_sql() { # STATEMENT
    case $database_engine in
    postgres) PGPASSWORD=$database_password psql -q -h 127.0.0.1 -p "$database_port" -U jackfield postgres -At -c "$1" ;;
    mariadb) mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$database_port" -u jackfield -p"$database_password" -N -B -e "$1" jackfield ;;
    esac
}

database_url() { # for Jackfield
    case $database_engine in
    postgres) echo "postgres://jackfield:$database_password@127.0.0.1:$database_port/postgres" ;;
    mariadb) echo "mysql://jackfield:$database_password@127.0.0.1:$database_port/jackfield" ;;
    esac
}

database_properties() { # for run-activemq.sh, one a line
    printf '%s\n' -Ddatabase.user=jackfield "-Ddatabase.password=$database_password"
    case $database_engine in
    postgres) printf '%s\n' "-Ddatabase.url=jdbc:postgresql://127.0.0.1:$database_port/postgres" -Ddatabase.adapter=PostgresqlJDBCAdapter ;;
    mariadb) printf '%s\n' "-Ddatabase.url=jdbc:mariadb://127.0.0.1:$database_port/jackfield" -Ddatabase.adapter=MySqlJDBCAdapter ;;
    esac
}

database_wipe() { # as if nothing had ever been in it
    case $database_engine in
    postgres) database_sql 'DROP SCHEMA public CASCADE; CREATE SCHEMA public' 2>/dev/null ;;
    mariadb) database_sql 'DROP DATABASE jackfield; CREATE DATABASE jackfield' ;;
    esac
}

database_stop() {
    [ -n "$database_pid" ] || return 0
    # The first process of PostgreSQL takes its children with it only when it is asked to end at once.
    if [ "$database_engine" = postgres ]; then kill -QUIT "$database_pid"; else kill -9 "$database_pid"; fi 2>/dev/null || true
    wait "$database_pid" 2>/dev/null || true
    database_pid=
}
