<?php

declare(strict_types=1);

/**
 * CodeIgniter's protocol for a table on PostgreSQL, as it was recorded, with its weaknesses: an advisory lock that
 * is waited for without end, and nobody counts the rows that an UPDATE found.
 *
 * Options: `host`, `port`, `user`, `password`, `database`, `table`, `old` (time in seconds, data in base64, ids
 * without the cookie's name), and those that every handler gets.
 */
final class PostgresHandler implements SessionHandlerInterface
{
    private ?PgSql\Connection $db = null;
    private ?string $lock = null;
    private bool $row_exists = false;
    private string $fingerprint = '';
    private ?string $current = null;

    public function __construct(private readonly array $options)
    {
    }

    public function open(string $path, string $name): bool
    {
        if ($this->db === null) {
            $o = $this->options;
            $this->db = pg_connect("host={$o['host']} port={$o['port']} dbname={$o['database']} user={$o['user']} "
                . "password='{$o['password']}'", PGSQL_CONNECT_FORCE_NEW) ?: null;
            $this->query("set client_encoding to 'utf8'");
        }
        return $this->db !== null;
    }

    public function read(string $id): string|false
    {
        if ($this->lock !== null) {
            $this->close();
        }
        $address = $this->options['match_ip'] ?? null;
        $lock = $address === null ? "hashtext('$id')" : "hashtext('$id'), hashtext('$address')";
        $this->query("SELECT pg_advisory_lock($lock)");
        $this->lock = $lock;
        $this->current ??= $id;
        $data = empty($this->options['old']) ? "encode(data, 'base64') AS data" : 'data';
        $row = pg_fetch_row($this->query("SELECT $data FROM {$this->table()} WHERE {$this->row($id)}"));
        $this->row_exists = $row !== false;
        $bytes = $row === false ? '' : base64_decode($row[0]);
        $this->fingerprint = md5($bytes);
        return $bytes;
    }

    public function write(string $id, string $data): bool
    {
        if ($this->lock === null) {
            return false;
        }
        if ($this->current !== $id) {
            $this->row_exists = false;
            $this->current = $id;
        }
        $old = !empty($this->options['old']);
        $now = $old ? (string) time() : 'now()';
        $bytes = $old ? "'" . base64_encode($data) . "'" : " E'\\\\x" . bin2hex($data) . "'";
        if (!$this->row_exists) {
            $ip = $this->options['match_ip'] ?? '127.0.0.1';
            $this->query("INSERT INTO {$this->table()} (\"timestamp\", \"id\", \"ip_address\", \"data\") "
                . "VALUES ($now, '{$this->name($id)}', '$ip', $bytes)");
            $this->row_exists = true;
        } else {
            $set = $this->fingerprint === md5($data) ? '' : ", \"data\" = $bytes";
            $this->query("UPDATE {$this->table()} SET \"timestamp\" = $now$set WHERE {$this->row($id)}");
        }
        $this->fingerprint = md5($data);
        return true;
    }

    public function close(): bool
    {
        if ($this->lock === null) {
            return true;
        }
        $freed = pg_fetch_row($this->query("SELECT pg_advisory_unlock({$this->lock})"));
        $this->lock = null;
        $this->current = null;
        return ($freed[0] ?? 'f') === 't';
    }

    public function destroy(string $id): bool
    {
        if ($this->lock !== null) {
            $this->query("DELETE FROM {$this->table()} WHERE {$this->row($id)}");
        }
        return $this->close();
    }

    public function gc(int $max_lifetime): int|false
    {
        $before = empty($this->options['old']) ? "now() - INTERVAL '$max_lifetime second'" : (string) (time() - $max_lifetime);
        $this->query("DELETE FROM {$this->table()} WHERE \"timestamp\" < $before");
        return 1;
    }

    /** Reports whether a record exists: CodeIgniter 3 asks. */
    public function exists(string $id): bool
    {
        return pg_num_rows($this->query("SELECT 1 FROM {$this->table()} WHERE {$this->row($id)}")) === 1;
    }

    private function query(string $sql): PgSql\Result
    {
        $result = pg_query($this->db, $sql);
        if ($result === false) {
            throw new RuntimeException('PostgreSQL refused a statement');
        }
        return $result;
    }

    private function table(): string
    {
        return "\"{$this->options['table']}\"";
    }

    private function name(string $id): string
    {
        return empty($this->options['old']) ? "{$this->options['cookie_name']}:$id" : $id;
    }

    private function row(string $id): string
    {
        $address = $this->options['match_ip'] ?? null;
        return "\"id\" = '{$this->name($id)}'" . ($address === null ? '' : " AND \"ip_address\" = '$address'");
    }
}
