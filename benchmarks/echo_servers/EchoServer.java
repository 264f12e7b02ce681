import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/** An echo chain behind the HTTP server of the JDK: java EchoServer.java PORT */
public class EchoServer {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        String expected = "Api-Key " + System.getenv("BASETEN_API_KEY");
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            String text = new String(body, StandardCharsets.UTF_8).trim();
            int status = 200;
            if (!exchange.getRequestURI().getPath().equals("/production/run_remote")) status = 404;
            else if (!exchange.getRequestMethod().equals("POST")) status = 405;
            else if (!expected.equals(exchange.getRequestHeaders().getFirst("Authorization"))) status = 401;
            else if (!text.startsWith("{") || !text.endsWith("}")) status = 400;
            byte[] content = status == 200 ? body : "{\"error\":\"rejected\"}".getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(status, content.length);
            exchange.getResponseBody().write(content);
            exchange.close();
        });
        server.start();
    }
}
