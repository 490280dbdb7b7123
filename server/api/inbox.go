package api

import (
	"time"

	"github.com/google/uuid"
)

// Inbox is what a user has been notified of.
type Inbox struct {
	Notifications []InboxNotification `json:"notifications"`
	UnreadCount   int                 `json:"unread_count"`
}

// InboxNotification is one notification.
type InboxNotification struct {
	ID         uuid.UUID   `json:"id"`
	UserID     uuid.UUID   `json:"user_id"`
	TemplateID uuid.UUID   `json:"template_id"`
	Targets    []uuid.UUID `json:"targets"`
	Title      string      `json:"title"`
	Content    string      `json:"content"`
	ReadAt     *time.Time  `json:"read_at"`
	CreatedAt  time.Time   `json:"created_at"`
}
