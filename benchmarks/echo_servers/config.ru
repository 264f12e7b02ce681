# An echo chain behind a server of Ruby: puma -b tcp://127.0.0.1:PORT config.ru
require "json"

run lambda { |environment|
  body = environment["rack.input"]&.read || ""
  value = begin JSON.parse(body) rescue nil end
  status = if environment["PATH_INFO"] != "/production/run_remote" then 404
           elsif environment["REQUEST_METHOD"] != "POST" then 405
           elsif environment["HTTP_AUTHORIZATION"] != "Api-Key #{ENV["BASETEN_API_KEY"]}" then 401
           elsif !value.is_a?(Hash) then 400
           else 200 end
  [status, { "content-type" => "application/json" }, [status == 200 ? body : '{"error":"rejected"}']]
}
