<?php
// An echo chain behind the development server of PHP: php -S 127.0.0.1:PORT echo_server.php
$body = file_get_contents("php://input");
$value = json_decode($body);
$status = 200;
if (parse_url($_SERVER["REQUEST_URI"], PHP_URL_PATH) !== "/production/run_remote") $status = 404;
elseif ($_SERVER["REQUEST_METHOD"] !== "POST") $status = 405;
elseif (($_SERVER["HTTP_AUTHORIZATION"] ?? "") !== "Api-Key " . getenv("BASETEN_API_KEY")) $status = 401;
elseif (!is_object($value)) $status = 400;
http_response_code($status);
header("Content-Type: application/json");
echo $status === 200 ? $body : '{"error":"rejected"}';
