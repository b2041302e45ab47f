<?php

declare(strict_types=1);

/** Hands everything on to a handler, and notes what the answer to the browser depends on. */
class Witness implements SessionHandlerInterface
{
    /** Whether a record was destroyed, for which CodeIgniter's handlers remove the cookie. */
    public bool $destroyed = false;

    public function __construct(protected SessionHandlerInterface $handler)
    {
    }

    public function open(string $path, string $name): bool
    {
        return $this->handler->open($path, $name);
    }

    public function read(string $id): string|false
    {
        return $this->handler->read($id);
    }

    public function write(string $id, string $data): bool
    {
        return $this->handler->write($id, $data);
    }

    public function close(): bool
    {
        return $this->handler->close();
    }

    public function destroy(string $id): bool
    {
        $this->destroyed = true;
        return $this->handler->destroy($id);
    }

    public function gc(int $max_lifetime): int|false
    {
        return $this->handler->gc($max_lifetime);
    }
}
