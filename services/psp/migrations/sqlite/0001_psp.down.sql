DROP TABLE psp_callbacks;
DROP TABLE psp_events;
DROP TABLE psp_authorizations;
