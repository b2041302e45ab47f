<?php

declare(strict_types=1);

/**
 * CodeIgniter's protocol for Memcached, as it was recorded, with its weaknesses: CodeIgniter 4 looks for the lock and
 * then sets it, which two can do at once; whoever closes a session deletes the lock, without a look at whose it is.
 *
 * Options: `servers` (list of `[host, port]`), `prefix` (instead of CodeIgniter's), `lock_wait_ms` (1000), `lock_tries`
 * (30), `compression` (`fastlz`, or `zlib`), `set_lock_after_ms` (0: a pause between looking for the lock and setting it),
 * and those that every handler gets.
 */
final class MemcachedHandler implements SessionHandlerInterface
{
    /** For how long a lock lasts that nobody ends, in seconds. */
    private const LOCK_TTL = 300;

    private string $prefix;
    private bool $adds_locks;
    private ?Memcached $memcached = null;
    private ?string $lock = null;
    private string $id = '';
    private string $fingerprint = '';

    public function __construct(private readonly array $options)
    {
        $this->adds_locks = $options['layout'] === 'ci3';
        $named = $this->adds_locks ? 'ci_session:' : "ci_session:{$options['cookie_name']}:";
        $address = $options['match_ip'] ?? null;
        $this->prefix = ($options['prefix'] ?? $named) . ($address === null ? '' : "$address:");
    }

    public function open(string $path, string $name): bool
    {
        if ($this->memcached === null) {
            $this->memcached = new Memcached();
            $this->memcached->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
            if (($this->options['compression'] ?? 'fastlz') === 'zlib') {
                $this->memcached->setOption(Memcached::OPT_COMPRESSION_TYPE, Memcached::COMPRESSION_ZLIB);
            }
            foreach ($this->options['servers'] as [$host, $port]) {
                $this->memcached->addServer($host, $port);
            }
        }
        return true;
    }

    public function read(string $id): string|false
    {
        if (!$this->take_lock($id)) {
            // An anonymous session, whose write fails later.
            return '';
        }
        $this->id = $id;
        $data = (string) $this->memcached->get($this->prefix . $id);
        $this->fingerprint = md5($data);
        return $data;
    }

    public function write(string $id, string $data): bool
    {
        if ($id !== $this->id) {
            if (!$this->free_lock() || !$this->take_lock($id)) {
                return false;
            }
            $this->fingerprint = md5('');
            $this->id = $id;
        }
        if ($this->lock === null) {
            return false;
        }
        $this->memcached->replace($this->lock, time(), self::LOCK_TTL);
        $fingerprint = md5($data);
        $key = $this->prefix . $id;
        if ($fingerprint === $this->fingerprint) {
            return $this->memcached->touch($key, $this->options['lifetime']);
        }
        $this->fingerprint = $fingerprint;
        return $this->memcached->set($key, $data, $this->options['lifetime']);
    }

    public function close(): bool
    {
        $this->free_lock();
        return true;
    }

    public function destroy(string $id): bool
    {
        if ($this->lock === null) {
            return false;
        }
        $this->memcached->delete($this->prefix . $id);
        return true;
    }

    public function gc(int $max_lifetime): int|false
    {
        return 1;
    }

    /** Reports whether a record exists: CodeIgniter 3 asks. */
    public function exists(string $id): bool
    {
        $this->memcached->get($this->prefix . $id);
        return $this->memcached->getResultCode() === Memcached::RES_SUCCESS;
    }

    private function take_lock(string $id): bool
    {
        $lock = "$this->prefix$id:lock";
        if ($this->lock === $lock) {
            return $this->memcached->replace($lock, time(), self::LOCK_TTL);
        }
        for ($tries = $this->options['lock_tries'] ?? 30; $tries > 0; $tries--) {
            if ($this->memcached->get($lock) === false) {
                usleep(($this->options['set_lock_after_ms'] ?? 0) * 1000);
                $take = $this->adds_locks ? 'add' : 'set';
                if ($this->memcached->$take($lock, time(), self::LOCK_TTL)) {
                    $this->lock = $lock;
                    return true;
                }
            } else {
                usleep(($this->options['lock_wait_ms'] ?? 1000) * 1000);
            }
        }
        return false;
    }

    private function free_lock(): bool
    {
        if ($this->lock !== null) {
            $this->memcached->delete($this->lock);
            $this->lock = null;
        }
        return true;
    }
}
