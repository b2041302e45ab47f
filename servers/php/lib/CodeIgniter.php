<?php

declare(strict_types=1);

/** What CodeIgniter's session library does to PHP's session: two keys of its own, and the marks in one of them. */
final class CodeIgniter
{
    private const MARKS = '__ci_vars';
    private const REGENERATED = '__ci_last_regenerate';

    public function __construct(private readonly string $layout)
    {
    }

    /** Reports whether the id is too old, and notes the time if none is noted. */
    public function isDue(int $after): bool
    {
        if (!isset($_SESSION[self::REGENERATED])) {
            $this->noteRegeneration();
            return false;
        }
        return $_SESSION[self::REGENERATED] < peer_time() - $after;
    }

    public function noteRegeneration(): void
    {
        $_SESSION[self::REGENERATED] = peer_time();
    }

    /** Makes new marks old, and removes what is old or over. */
    public function age(): void
    {
        if (empty($_SESSION[self::MARKS])) {
            unset($_SESSION[self::MARKS]);
            return;
        }
        $now = peer_time();
        foreach ($_SESSION[self::MARKS] as $key => $mark) {
            if ($mark === 'new') {
                $_SESSION[self::MARKS][$key] = 'old';
            } elseif ($mark === 'old' || $mark < $now) {
                unset($_SESSION[$key], $_SESSION[self::MARKS][$key]);
            }
        }
        $this->dropIfEmpty();
    }

    public function get(string $key): mixed
    {
        if (isset($_SESSION[$key])) {
            return $_SESSION[$key];
        }
        return $this->layout === 'ci4' ? $this->byPath($key) : null;
    }

    /** Everything but the marks and what is marked. */
    public function all(): array
    {
        return array_diff_key($_SESSION, [self::MARKS => true], $_SESSION[self::MARKS] ?? []);
    }

    public function push(string $key, array $value): void
    {
        if (isset($_SESSION[$key]) && is_array($_SESSION[$key])) {
            $_SESSION[$key] = array_merge($_SESSION[$key], $value);
        }
    }

    public function flash(string $key, mixed $value): void
    {
        $_SESSION[$key] = $value;
        $this->markFlash($key);
    }

    public function markFlash(string $key): bool
    {
        if (!isset($_SESSION[$key])) {
            return false;
        }
        $_SESSION[self::MARKS][$key] = 'new';
        return true;
    }

    public function unmarkFlash(string $key): void
    {
        if ($this->isFlash($key)) {
            unset($_SESSION[self::MARKS][$key]);
            $this->dropIfEmpty();
        }
    }

    public function readFlash(string $key): mixed
    {
        $this->makeMarks();
        return $this->isFlash($key) ? ($_SESSION[$key] ?? null) : null;
    }

    public function flashKeys(): array
    {
        return array_keys(array_filter($_SESSION[self::MARKS] ?? [], 'is_string'));
    }

    public function temp(string $key, mixed $value, int $ttl): void
    {
        $_SESSION[$key] = $value;
        $this->markTemp($key, $ttl);
    }

    public function markTemp(string $key, int $ttl): bool
    {
        $there = $this->layout === 'ci4' ? array_key_exists($key, $_SESSION) : isset($_SESSION[$key]);
        if ($there) {
            $_SESSION[self::MARKS][$key] = peer_time() + $ttl;
        }
        return $there;
    }

    public function unmarkTemp(string $key): void
    {
        if ($this->isTemp($key)) {
            unset($_SESSION[self::MARKS][$key]);
            $this->dropIfEmpty();
        }
    }

    public function removeTemp(string $key): void
    {
        $this->unmarkTemp($key);
        if ($this->layout === 'ci4') {
            unset($_SESSION[$key]);
        }
    }

    public function readTemp(string $key): mixed
    {
        $this->makeMarks();
        return $this->isTemp($key) ? ($_SESSION[$key] ?? null) : null;
    }

    public function tempKeys(): array
    {
        return array_keys(array_filter($_SESSION[self::MARKS] ?? [], 'is_int'));
    }

    private function isFlash(string $key): bool
    {
        return isset($_SESSION[self::MARKS][$key]) && !is_int($_SESSION[self::MARKS][$key]);
    }

    private function isTemp(string $key): bool
    {
        return isset($_SESSION[self::MARKS][$key]) && is_int($_SESSION[self::MARKS][$key]);
    }

    /** CodeIgniter 4 leaves an empty table behind whoever reads marked values. */
    private function makeMarks(): void
    {
        if ($this->layout === 'ci4') {
            $_SESSION[self::MARKS] ??= [];
        }
    }

    private function dropIfEmpty(): void
    {
        if (empty($_SESSION[self::MARKS])) {
            unset($_SESSION[self::MARKS]);
        }
    }

    /** Looks below a top-level array: `a.b`. */
    private function byPath(string $path): mixed
    {
        $found = $_SESSION;
        $parts = array_filter(explode('.', $path), fn (string $part) => $part !== '');
        foreach ($parts as $part) {
            if (!is_array($found) || !isset($found[$part])) {
                return null;
            }
            $found = $found[$part];
        }
        return $parts === [] ? null : $found;
    }
}
