<?php

declare(strict_types=1);

/**
 * CodeIgniter's protocol for Redis, as it was recorded, with its weaknesses: the lock is a key that whoever closes a
 * session deletes, without a look at whose it is.
 *
 * Options: `host`, `port`, `database` (0), `prefix` (instead of CodeIgniter's), `lock_wait_ms` (100), `lock_tries` (300),
 * and those that every handler gets.
 */
final class RedisHandler implements SessionHandlerInterface
{
    /** For how long a lock lasts that nobody ends, in seconds. */
    private const LOCK_TTL = 300;

    private string $prefix;
    private int $ttl;
    private ?Redis $redis = null;
    private ?string $lock = null;
    private bool $exists = false;
    private string $id = '';
    private string $fingerprint = '';

    public function __construct(private readonly array $options)
    {
        $named = $options['layout'] === 'ci3' ? 'ci_session:' : "ci_session:{$options['cookie_name']}:";
        $address = $options['match_ip'] ?? null;
        $this->prefix = ($options['prefix'] ?? $named) . ($address === null ? '' : "$address:");
        $this->ttl = $options['lifetime'] ?: (int) ini_get('session.gc_maxlifetime');
    }

    public function open(string $path, string $name): bool
    {
        if ($this->redis === null) {
            $this->redis = new Redis();
            $this->redis->connect($this->options['host'], $this->options['port']);
        }
        return $this->redis->select($this->options['database'] ?? 0);
    }

    public function read(string $id): string|false
    {
        if (!$this->take_lock($id)) {
            return false;
        }
        $this->id = $id;
        $data = $this->redis->get($this->prefix . $id);
        $this->exists = is_string($data);
        $data = $this->exists ? $data : '';
        $this->fingerprint = md5($data);
        return $data;
    }

    public function write(string $id, string $data): bool
    {
        if ($id !== $this->id) {
            // A new id: its lock instead of the old one.
            if (!$this->free_lock() || !$this->take_lock($id)) {
                return false;
            }
            $this->exists = false;
            $this->id = $id;
        }
        if ($this->lock === null) {
            return false;
        }
        $this->redis->expire($this->lock, self::LOCK_TTL);
        $fingerprint = md5($data);
        if ($this->exists && $fingerprint === $this->fingerprint) {
            return $this->redis->expire($this->prefix . $id, $this->ttl);
        }
        $stored = $this->redis->set($this->prefix . $id, $data, $this->ttl);
        $this->fingerprint = $fingerprint;
        $this->exists = true;
        return $stored;
    }

    public function close(): bool
    {
        return !$this->redis->ping() || $this->free_lock();
    }

    public function destroy(string $id): bool
    {
        if ($this->lock === null) {
            return false;
        }
        $this->redis->del($this->prefix . $id);
        return true;
    }

    public function gc(int $max_lifetime): int|false
    {
        return 1;
    }

    /** Reports whether a record exists: CodeIgniter 3 asks. */
    public function exists(string $id): bool
    {
        return (bool) $this->redis->exists($this->prefix . $id);
    }

    private function take_lock(string $id): bool
    {
        $lock = "$this->prefix$id:lock";
        if ($this->lock === $lock) {
            return $this->redis->expire($lock, self::LOCK_TTL);
        }
        for ($tries = $this->options['lock_tries'] ?? 300; $tries > 0; $tries--) {
            if ($this->redis->set($lock, (string) time(), ['nx', 'ex' => self::LOCK_TTL])) {
                $this->lock = $lock;
                return true;
            }
            usleep(($this->options['lock_wait_ms'] ?? 100) * 1000);
        }
        return false;
    }

    private function free_lock(): bool
    {
        if ($this->lock !== null && !$this->redis->del($this->lock)) {
            return false;
        }
        $this->lock = null;
        return true;
    }
}
