<?php

declare(strict_types=1);

/**
 * CodeIgniter's protocol for session files, as it was recorded, with its weaknesses: the lock is `flock` on the file
 * itself, from the read to the close.
 *
 * Options: `save_path`, and those that every handler gets.
 */
final class FilesHandler implements SessionHandlerInterface
{
    private string $prefix;
    /** @var resource|null */
    private $file = null;
    private bool $is_new = false;
    private string $fingerprint = '';

    public function __construct(private readonly array $options)
    {
        $address = $options['match_ip'] ?? null;
        $dir = rtrim($options['save_path'], '/\\');
        $this->prefix = $dir . '/' . $options['cookie_name'] . ($address === null ? '' : md5($address));
    }

    public function open(string $path, string $name): bool
    {
        $dir = dirname($this->prefix);
        if (!is_dir($dir) && !mkdir($dir, 0700, true)) {
            throw new RuntimeException('cannot make the directory of the session files');
        }
        if (!is_writable($dir)) {
            throw new RuntimeException('the directory of the session files can not be written');
        }
        return true;
    }

    public function read(string $id): string|false
    {
        $path = $this->prefix . $id;
        if ($this->file === null) {
            $this->is_new = !file_exists($path);
            $this->file = fopen($path, 'c+b');
            if ($this->file === false || !flock($this->file, LOCK_EX)) {
                $this->file = null;
                return false;
            }
            if ($this->is_new) {
                chmod($path, 0600);
                $this->fingerprint = md5('');
                return '';
            }
        } else {
            rewind($this->file);
        }
        clearstatcache();
        $data = '';
        for ($size = filesize($path); strlen($data) < $size; $data .= $piece) {
            $piece = fread($this->file, $size - strlen($data));
            if ($piece === false || $piece === '') {
                break;
            }
        }
        $this->fingerprint = md5($data);
        return $data;
    }

    public function write(string $id, string $data): bool
    {
        if ($this->file === null) {
            return false;
        }
        if ($this->fingerprint === md5($data)) {
            return $this->is_new || touch($this->prefix . $id);
        }
        if (!$this->is_new) {
            ftruncate($this->file, 0);
            rewind($this->file);
        }
        for ($done = 0; $done < strlen($data); $done += $written) {
            $written = fwrite($this->file, substr($data, $done));
            if ($written === false) {
                return false;
            }
        }
        $this->fingerprint = md5($data);
        return true;
    }

    public function close(): bool
    {
        if ($this->file !== null) {
            flock($this->file, LOCK_UN);
            fclose($this->file);
            $this->file = null;
        }
        return true;
    }

    public function destroy(string $id): bool
    {
        $this->close();
        clearstatcache();
        return !is_file($this->prefix . $id) || unlink($this->prefix . $id);
    }

    public function gc(int $max_lifetime): int|false
    {
        $name = preg_quote(basename($this->prefix), '/');
        $deleted = 0;
        foreach (scandir(dirname($this->prefix)) as $entry) {
            $path = dirname($this->prefix) . '/' . $entry;
            $ours = preg_match("/\\A{$name}[0-9a-f]{32}\\z/", $entry) === 1 && is_file($path);
            if ($ours && filemtime($path) <= time() - $max_lifetime) {
                unlink($path);
                $deleted++;
            }
        }
        return $deleted;
    }

    /** Reports whether a record exists: CodeIgniter 3 asks. */
    public function exists(string $id): bool
    {
        clearstatcache();
        return is_file($this->prefix . $id);
    }
}
