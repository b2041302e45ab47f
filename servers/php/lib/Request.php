<?php

declare(strict_types=1);

/** One request: the whole life of a session, and what the browser would get. */
final class Request
{
    private readonly ?CodeIgniter $rules;
    private array $results = [];
    private array $errors = [];
    private int $status = 200;
    /** The id for which PHP or CodeIgniter queued a cookie. */
    private ?string $cookie_for = null;

    public function __construct(
        private readonly array $options,
        private readonly ?Witness $witness,
        private readonly array $request,
    ) {
        $this->rules = $options['layout'] === 'php' ? null : new CodeIgniter($options['layout']);
    }

    /** Runs it to its end and returns the answer. */
    public function run(): array
    {
        set_error_handler($this->note(...));
        if ($this->witness !== null) {
            $this->witness->destroyed = false;
        }
        $this->guarded(function (): void {
            $this->event('starting');
            $this->start();
            $this->event('started');
            foreach ($this->request['ops'] ?? [] as $op) {
                $this->results[] = $op['op'] === 'dump' ? $this->dump() : plain_or_tagged($this->perform($op));
            }
        });
        $id = session_id();
        // PHP does this at the end of a script, also of one that failed.
        $this->guarded(fn () => session_status() === PHP_SESSION_ACTIVE && session_write_close());
        if (session_status() === PHP_SESSION_ACTIVE) {
            session_abort();
        }
        restore_error_handler();
        return [
            'id' => $id === '' || $id === false ? null : $id,
            'set_cookie' => $this->setCookie(),
            'results' => $this->results,
            'errors' => $this->errors,
            'status' => $this->status,
        ];
    }

    /** Does something, and turns what it throws into status 500. */
    private function guarded(callable $step): void
    {
        try {
            $step();
        } catch (Throwable $thrown) {
            $this->errors[] = $thrown::class . ': ' . $thrown->getMessage();
            $this->status = 500;
        }
    }

    private function note(int $level, string $message): bool
    {
        if ((error_reporting() & $level) === 0) {
            return true;
        }
        if ($this->options['layout'] === 'ci4') {
            throw new ErrorException($message, 0, $level);
        }
        $this->errors[] = $message;
        return true;
    }

    private function event(string $name): void
    {
        if ($this->request['events'] ?? false) {
            peer_send(['event' => $name]);
        }
    }

    private function start(): void
    {
        $this->configure();
        $cookie = $this->request['cookie'] ?? null;
        $sent = is_string($cookie) && ($this->rules === null || $this->isId($cookie)) ? $cookie : '';
        session_id($sent);
        if (!session_start()) {
            throw new RuntimeException('the session did not start');
        }
        if (session_id() !== $sent) {
            $this->cookie_for = session_id();
        }
        if ($this->rules === null) {
            return;
        }
        $every = $this->options['time_to_update'];
        if (!($this->request['ajax'] ?? false) && $every > 0) {
            if ($this->rules->isDue($every)) {
                $this->regenerate($this->options['regenerate_destroy']);
            }
        } elseif ($sent !== '' && $sent === session_id()) {
            $this->cookie_for = $sent;
        }
        $this->rules->age();
    }

    private function configure(): void
    {
        [
            'lifetime' => $lifetime,
            'cookie_name' => $name,
            'sid_length' => $length,
            'sid_bits' => $bits,
        ] = $this->options;
        session_name($name);
        $settings = [
            'session.cache_limiter' => '',
            'session.gc_probability' => '0',
            'session.sid_length' => (string) $length,
            'session.sid_bits_per_character' => (string) $bits,
            'session.serialize_handler' => $this->options['serialize_handler'],
        ];
        if ($lifetime > 0) {
            $settings['session.gc_maxlifetime'] = (string) $lifetime;
        }
        if ($this->rules !== null) {
            session_set_cookie_params(['lifetime' => $lifetime, 'path' => '/', 'httponly' => true, 'samesite' => 'Lax']);
            $settings['session.use_strict_mode'] = '1';
        }
        if ($this->witness === null) {
            $settings['session.save_handler'] = $this->options['save_handler'];
            $settings['session.save_path'] = $this->options['save_path'];
        } else {
            session_set_save_handler($this->witness, false);
        }
        foreach ($this->options['ini'] + $settings as $setting => $value) {
            if (ini_set($setting, (string) $value) === false) {
                throw new RuntimeException("PHP does not take the setting $setting");
            }
        }
    }

    /** Tells an id from anything else, by the settings that made it. */
    private function isId(string $cookie): bool
    {
        $character = [4 => '[0-9a-f]', 5 => '[0-9a-v]', 6 => '[0-9a-zA-Z,-]'][$this->options['sid_bits']];
        return preg_match('/\A' . $character . '{' . $this->options['sid_length'] . '}\z/', $cookie) === 1;
    }

    private function regenerate(bool $destroy): string
    {
        $this->rules?->noteRegeneration();
        session_regenerate_id($destroy);
        $this->cookie_for = session_id();
        if ($this->witness !== null) {
            // The cookie of the new id takes the place of the removal.
            $this->witness->destroyed = false;
        }
        return session_id();
    }

    private function perform(array $op): mixed
    {
        $key = $op['key'] ?? '';
        $value = value_of($op['value'] ?? null);
        $user = $this->options['user_key'];
        return match ($op['op']) {
            'set' => $this->set($key, $value),
            'get' => $this->rules === null ? ($_SESSION[$key] ?? null) : $this->rules->get($key),
            'has' => isset($_SESSION[$key]),
            'remove' => $this->remove($key),
            'incr' => $this->increment($key, $op['by'] ?? 1, $op['sleep_ms'] ?? 0),
            'all' => $this->rules === null ? $_SESSION : $this->rules->all(),
            'regenerate' => $this->regenerate($op['destroy'] ?? false),
            'login' => [$this->regenerate($op['destroy'] ?? false), $this->set($user, $op['user'])][0],
            'logout' => $this->logout($op['keep'] ?? false),
            'whoami' => $_SESSION[$user] ?? null,
            'id' => session_id(),
            'destroy' => $this->nothing(session_destroy()),
            'close' => $this->nothing(session_write_close()),
            'sleep' => usleep(1000 * $op['ms']),
            'wait' => $this->wait(),
            'gc' => session_gc(),
            'fail' => throw new DomainException('asked to fail'),
            default => $this->mark($op['op'], $key, $value, $op['ttl'] ?? 300),
        };
    }

    /** Performs what only CodeIgniter has. */
    private function mark(string $op, string $key, mixed $value, int $ttl): mixed
    {
        $rules = $this->rules ?? throw new LogicException("this layout has no operation $op");
        return match ($op) {
            'push' => $rules->push($key, $value),
            'flash' => $rules->flash($key, $value),
            'markflash' => $rules->markFlash($key),
            'keepflash' => $this->nothing($rules->markFlash($key)),
            'unmarkflash' => $rules->unmarkFlash($key),
            'readflash' => $rules->readFlash($key),
            'flashkeys' => $rules->flashKeys(),
            'temp' => $rules->temp($key, $value, $ttl),
            'marktemp' => $rules->markTemp($key, $ttl),
            'unmarktemp' => $rules->unmarkTemp($key),
            'removetemp' => $rules->removeTemp($key),
            'readtemp' => $rules->readTemp($key),
            'tempkeys' => $rules->tempKeys(),
            default => throw new LogicException("there is no operation $op"),
        };
    }

    private function dump(): array
    {
        return ['tagged' => tagged($_SESSION), 'raw' => base64_encode((string) session_encode())];
    }

    private function set(string $key, mixed $value): void
    {
        $_SESSION[$key] = $value;
    }

    private function remove(string $key): void
    {
        unset($_SESSION[$key]);
    }

    private function increment(string $key, int $by, int $sleep_ms): int
    {
        $count = ($_SESSION[$key] ?? 0) + $by;
        usleep(1000 * $sleep_ms);
        return $_SESSION[$key] = $count;
    }

    private function logout(bool $keep): void
    {
        if (!$keep) {
            session_destroy();
            return;
        }
        unset($_SESSION[$this->options['user_key']]);
        $this->regenerate(true);
    }

    private function wait(): void
    {
        peer_send(['event' => 'waiting']);
        fgets(STDIN);
    }

    private function nothing(mixed $_): void
    {
    }

    private function setCookie(): ?string
    {
        $name = $this->options['cookie_name'];
        if ($this->rules !== null && $this->witness?->destroyed) {
            return "$name=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; path=/; HttpOnly";
        }
        if ($this->cookie_for === null) {
            return null;
        }
        $with = session_get_cookie_params();
        $lifetime = (int) $with['lifetime'];
        $parts = [$name . '=' . rawurlencode($this->cookie_for)];
        if ($lifetime > 0) {
            $parts[] = 'expires=' . gmdate('D, d M Y H:i:s \G\M\T', peer_time() + $lifetime);
            $parts[] = "Max-Age=$lifetime";
        }
        $parts[] = 'path=' . $with['path'];
        if ($with['httponly']) {
            $parts[] = 'HttpOnly';
        }
        if ($with['samesite'] !== '') {
            $parts[] = 'SameSite=' . $with['samesite'];
        }
        return implode('; ', $parts);
    }
}
