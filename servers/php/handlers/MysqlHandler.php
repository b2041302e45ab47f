<?php

declare(strict_types=1);

/**
 * CodeIgniter's protocol for a table on MySQL or MariaDB, as it was recorded, with its weaknesses: the lock is
 * `GET_LOCK`, sql_mode is not strict, and nobody counts the rows that an UPDATE found.
 *
 * Options: `host`, `port`, `user`, `password`, `database`, `table`, `old` (time in seconds, ids without the
 * cookie's name), and those that every handler gets.
 */
final class MysqlHandler implements SessionHandlerInterface
{
    private ?mysqli $db = null;
    private ?string $lock = null;
    private bool $row_exists = false;
    private string $fingerprint = '';
    private ?string $current = null;

    public function __construct(private readonly array $options)
    {
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    }

    public function open(string $path, string $name): bool
    {
        if ($this->db === null) {
            $o = $this->options;
            $this->db = new mysqli($o['host'], $o['user'], $o['password'], $o['database'], $o['port']);
            $this->db->query("SET SESSION sql_mode=''");
            $this->db->set_charset('utf8mb4');
        }
        return true;
    }

    public function read(string $id): string|false
    {
        if (!$this->take_lock($id)) {
            // CodeIgniter goes on with an empty session.
            $this->fingerprint = md5('');
            return '';
        }
        $this->current ??= $id;
        $row = $this->db->query("SELECT `data` FROM {$this->table()} WHERE {$this->row($id)}")->fetch_row();
        $this->row_exists = $row !== null;
        $data = $row[0] ?? '';
        $this->fingerprint = md5($data);
        return $data;
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
        $now = empty($this->options['old']) ? 'now()' : (string) time();
        $bytes = "'" . $this->db->real_escape_string($data) . "'";
        if (!$this->row_exists) {
            $ip = $this->options['match_ip'] ?? '127.0.0.1';
            $this->db->query("INSERT INTO {$this->table()} (`timestamp`, `id`, `ip_address`, `data`) "
                . "VALUES ($now, '{$this->name($id)}', '$ip', $bytes)");
            $this->row_exists = true;
        } else {
            $set = $this->fingerprint === md5($data) ? '' : ", `data` = $bytes";
            $this->db->query("UPDATE {$this->table()} SET `timestamp` = $now$set WHERE {$this->row($id)}");
        }
        $this->fingerprint = md5($data);
        return true;
    }

    public function close(): bool
    {
        if ($this->lock === null) {
            return true;
        }
        $freed = $this->db->query("SELECT RELEASE_LOCK('{$this->lock}') AS ci_session_lock")->fetch_row();
        $this->lock = null;
        $this->current = null;
        return ($freed[0] ?? '0') === '1';
    }

    public function destroy(string $id): bool
    {
        if ($this->lock !== null) {
            $this->db->query("DELETE FROM {$this->table()} WHERE {$this->row($id)}");
        }
        return $this->close();
    }

    public function gc(int $max_lifetime): int|false
    {
        $before = empty($this->options['old']) ? "now() - INTERVAL $max_lifetime second" : (string) (time() - $max_lifetime);
        $this->db->query("DELETE FROM {$this->table()} WHERE `timestamp` < $before");
        return 1;
    }

    /** Reports whether a record exists: CodeIgniter 3 asks. */
    public function exists(string $id): bool
    {
        return $this->db->query("SELECT 1 FROM {$this->table()} WHERE {$this->row($id)}")->num_rows === 1;
    }

    private function take_lock(string $id): bool
    {
        if ($this->lock !== null) {
            $this->close();
        }
        $address = $this->options['match_ip'] ?? null;
        $name = md5($address === null ? $id : "{$id}_$address");
        $taken = $this->db->query("SELECT GET_LOCK('$name', 300) AS ci_session_lock")->fetch_row();
        $this->lock = ($taken[0] ?? '0') === '1' ? $name : null;
        return $this->lock !== null;
    }

    private function table(): string
    {
        return "`{$this->options['table']}`";
    }

    private function name(string $id): string
    {
        return empty($this->options['old']) ? "{$this->options['cookie_name']}:$id" : $id;
    }

    private function row(string $id): string
    {
        $address = $this->options['match_ip'] ?? null;
        return "`id` = '{$this->name($id)}'" . ($address === null ? '' : " AND `ip_address` = '$address'");
    }
}
