package frameworks

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

var jo = emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}

// FiberVisitor gives a fiber handler its visit: fiber has its own requests, so
// the middleware runs around it, and the visit travels in the locals.
func FiberVisitor(b *bff.BFF) fiber.Handler {
	return func(c fiber.Ctx) error {
		var failed error
		err := adaptor.HTTPHandler(b.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.Locals("visit", bff.From(r))
			if failed = c.Next(); failed != nil {
				return
			}
			w.Header().Set("Content-Type", string(c.Response().Header.ContentType()))
			w.WriteHeader(c.Response().StatusCode()) // writes the cookie
		})))(c)
		if failed != nil {
			return failed
		}
		return err
	}
}

// The README has FiberVisitor as it is here.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../bff/README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("frameworks_test.go")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```go\n(func FiberVisitor.*?)```").FindSubmatch(readme)
	require.NotNil(t, block)
	assert.Contains(t, string(source), string(block[1]))
}

func newGin(b *bff.BFF) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/", func(c *gin.Context) {
		me, err := customer(c.Request)
		if err != nil {
			b.Error(c.Writer, c.Request, err)
			return
		}
		c.String(http.StatusOK, me)
	})
	engine.POST("/login", func(c *gin.Context) {
		if _, err := bff.From(c.Request).Login(c.Request.Context(), jo); err != nil {
			b.Error(c.Writer, c.Request, err)
			return
		}
		c.String(http.StatusOK, "")
	})
	engine.POST("/broken", func(c *gin.Context) {
		_, _ = bff.From(c.Request).Login(c.Request.Context(), jo)
		_ = c.AbortWithError(http.StatusInternalServerError, errBroken)
	})
	return b.Handler(engine)
}

func newEcho(b *bff.BFF) http.Handler {
	e := echo.New()
	e.Use(echo.WrapMiddleware(b.Handler))
	e.GET("/", func(c echo.Context) error {
		me, err := customer(c.Request())
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, me)
	})
	e.POST("/login", func(c echo.Context) error {
		if _, err := bff.From(c.Request()).Login(c.Request().Context(), jo); err != nil {
			return err
		}
		return c.NoContent(http.StatusOK)
	})
	e.POST("/broken", func(c echo.Context) error {
		_, _ = bff.From(c.Request()).Login(c.Request().Context(), jo)
		return errBroken
	})
	return e
}

func newChi(b *bff.BFF) http.Handler {
	r := chi.NewRouter()
	r.Use(b.Handler)
	r.Get("/", func(w http.ResponseWriter, r *http.Request) {
		me, err := customer(r)
		if err != nil {
			b.Error(w, r, err)
			return
		}
		_, _ = w.Write([]byte(me))
	})
	r.Post("/login", func(w http.ResponseWriter, r *http.Request) {
		if _, err := bff.From(r).Login(r.Context(), jo); err != nil {
			b.Error(w, r, err)
		}
	})
	r.Post("/broken", func(w http.ResponseWriter, r *http.Request) {
		_, _ = bff.From(r).Login(r.Context(), jo)
		b.Error(w, r, errBroken)
	})
	return r
}

func newFiber(b *bff.BFF) http.Handler {
	app := fiber.New()
	app.Use(FiberVisitor(b))
	visit := func(c fiber.Ctx) *bff.Visit { return fiber.Locals[*bff.Visit](c, "visit") }
	app.Get("/", func(c fiber.Ctx) error {
		session, err := visit(c).Session(c.Context())
		if err != nil {
			return err
		}
		me, err := session.Customers.Get(c.Context())
		if err != nil {
			return err
		}
		return c.SendString(me.CustomerNumber)
	})
	app.Post("/login", func(c fiber.Ctx) error {
		if _, err := visit(c).Login(c.Context(), jo); err != nil {
			return err
		}
		return c.SendStatus(http.StatusOK)
	})
	app.Post("/broken", func(c fiber.Ctx) error {
		_, _ = visit(c).Login(c.Context(), jo)
		return errBroken
	})
	return adaptor.FiberApp(app) // only for this test; app.Listen in a program
}

var errBroken = errors.New("after the login")

func customer(r *http.Request) (string, error) {
	session, err := bff.From(r).Session(r.Context())
	if err != nil {
		return "", err
	}
	me, err := session.Customers.Get(r.Context())
	if err != nil {
		return "", err
	}
	return me.CustomerNumber, nil
}

func TestFrameworks(t *testing.T) {
	for name, make := range map[string]func(*bff.BFF) http.Handler{"gin": newGin, "echo": newEcho, "chi": newChi, "fiber": newFiber} {
		for _, sealed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				fake := emporixtest.New(t)
				number := fake.AddCustomer(t, emporixtest.Customer{Email: jo.Email, Password: jo.Password}).CustomerNumber
				var options []emporix.Option
				if sealed {
					store, err := bff.NewCookieStore([]byte("the key of tests: 32 bytes, fixed"))
					require.NoError(t, err)
					options = []emporix.Option{emporix.WithTokenStore(store), emporix.WithForegroundRenewal()}
				}
				b, err := bff.New(fake.Client(t, options...), bff.Options{})
				require.NoError(t, err)
				handler := make(b)
				cookie := ""
				do := func(method, path, site string) (int, string) {
					r := httptest.NewRequestWithContext(t.Context(), method, "https://shop.example"+path, nil)
					r.Header.Set("Sec-Fetch-Site", site)
					if cookie != "" {
						r.AddCookie(&http.Cookie{Name: "__Host-emporix", Value: cookie})
					}
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, r)
					for _, c := range w.Result().Cookies() {
						cookie = c.Value
						assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
					}
					return w.Code, w.Body.String()
				}
				status, body := do("GET", "/", "none")
				require.Equal(t, 200, status)
				assert.Equal(t, "00000000", body)
				first := cookie
				require.NotEmpty(t, first)
				status, _ = do("POST", "/login", "cross-site")
				assert.Equal(t, 403, status)
				status, _ = do("POST", "/login", "same-origin")
				require.Equal(t, 200, status)
				assert.NotEqual(t, first, cookie)
				status, body = do("GET", "/", "none")
				assert.Equal(t, 200, status)
				assert.Equal(t, number, body)
				cookie = ""
				status, _ = do("POST", "/broken", "same-origin")
				assert.Equal(t, 500, status)
				require.NotEmpty(t, cookie, "the login stands, so the browser must hear of it")
				_, body = do("GET", "/", "none")
				assert.Equal(t, number, body)
			})
		}
	}
}
