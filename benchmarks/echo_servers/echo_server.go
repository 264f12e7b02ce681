// An echo chain behind net/http of Go: echo_server PORT
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
)

func main() {
	expected := "Api-Key " + os.Getenv("BASETEN_API_KEY")
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		status := 200
		var value map[string]interface{}
		switch {
		case request.URL.Path != "/production/run_remote":
			status = 404
		case request.Method != "POST":
			status = 405
		case request.Header.Get("Authorization") != expected:
			status = 401
		case err != nil || json.Unmarshal(body, &value) != nil || value == nil:
			status = 400
		}
		response.Header().Set("Content-Type", "application/json")
		response.WriteHeader(status)
		if status == 200 {
			response.Write(body)
		} else {
			response.Write([]byte(`{"error":"rejected"}`))
		}
	})
	http.ListenAndServe("127.0.0.1:"+os.Args[1], nil)
}
