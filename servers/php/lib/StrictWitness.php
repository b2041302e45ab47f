<?php

declare(strict_types=1);

/**
 * As CodeIgniter 3's drivers, which know whether a record exists and so refuse ids that were never given out.
 *
 * A handler tells it by a method `exists(string $id): bool`; without one every id is taken.
 */
final class StrictWitness extends Witness implements SessionUpdateTimestampHandlerInterface
{
    public function validateId(string $id): bool
    {
        return !method_exists($this->handler, 'exists') || $this->handler->exists($id);
    }

    public function updateTimestamp(string $id, string $data): bool
    {
        // The data is what was read, and then a handler's write moves the time of the last use alone.
        return $this->handler->write($id, $data);
    }
}
